# SPDX-License-Identifier: Apache-2.0
"""What the paths of backups name."""

from __future__ import annotations

from personas.props.block_storage import new_volume, owned
from personas.stage import Maker, Prop, Stage


def backup(stage: Stage) -> Prop:
    words = {"backup": {"volume_id": new_volume(stage)}}
    key = str(stage.make("block_storage", "/backups", words)["backup"]["id"])
    stage.until("block_storage", f"/backups/{key}", lambda answer: answer["backup"]["status"] == "available")
    return owned(stage, backup_id=key)


MAKERS: dict[str, Maker] = {"/backups/{backup_id}": backup}
