# SPDX-License-Identifier: Apache-2.0
"""What the paths of encryption name."""

from __future__ import annotations

from personas.stage import Prop, Stage


def encrypted_type(stage: Stage) -> Prop:
    words = {"volume_type": {"name": f"sealed-{stage.suffix}"}}
    key = stage.make("block_storage", "/types", words, "admin")["volume_type"]["id"]
    said = {"provider": "luks", "control_location": "front-end", "cipher": "aes-xts-plain64", "key_size": 256}
    stage.make("block_storage", f"/types/{key}/encryption", {"encryption": said}, "admin")
    return {"type_id": key, "key": "cipher"}


MAKERS = {
    "GET /types/{type_id}/encryption/{key}": encrypted_type,
    "PUT /types/{type_id}/encryption/{key}": encrypted_type,
    "DELETE /types/{type_id}/encryption/{key}": encrypted_type,
}
