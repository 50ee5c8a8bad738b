# SPDX-License-Identifier: Apache-2.0
"""What the paths of groups name, in both of their APIs."""

from __future__ import annotations

from personas.props.block_storage import owned
from personas.stage import Maker, Prop, Stage


def group_type(stage: Stage) -> Prop:
    words = {"group_type": {"name": f"kind-{stage.suffix}", "group_specs": {"key": "value"}}}
    return {
        "group_type_id": stage.make("block_storage", "/group_types", words, "admin")["group_type"]["id"],
        "spec": "key",
    }


def new_group(stage: Stage) -> str:
    kind = stage.named("block_storage", "/group_types/{group_type_id}")["group_type_id"]
    words = {"group": {"group_type": kind, "volume_types": ["__DEFAULT__"]}}
    key = str(stage.make("block_storage", "/groups", words)["group"]["id"])
    stage.until("block_storage", f"/groups/{key}", lambda answer: answer["group"]["status"] == "available")
    return key


def group(stage: Stage) -> Prop:
    return owned(stage, group_id=new_group(stage))


def group_snapshot(stage: Stage) -> Prop:
    words = {"group_snapshot": {"group_id": new_group(stage)}}
    key = str(stage.make("block_storage", "/group_snapshots", words)["group_snapshot"]["id"])
    path = f"/group_snapshots/{key}"
    stage.until("block_storage", path, lambda answer: answer["group_snapshot"]["status"] == "available")
    return owned(stage, group_snapshot_id=key)


MAKERS: dict[str, Maker] = {
    "/group_types/{group_type_id}": group_type,
    "/groups/{group_id}": group,
    "/group_snapshots/{group_snapshot_id}": group_snapshot,
    "/consistencygroups/{group_id}": group,
    "/cgsnapshots/{group_snapshot_id}": group_snapshot,
}
