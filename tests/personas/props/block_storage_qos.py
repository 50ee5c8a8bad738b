# SPDX-License-Identifier: Apache-2.0
"""What the paths of QoS specs name."""

from __future__ import annotations

from personas.stage import Prop, Stage


def qos_specs(stage: Stage) -> Prop:
    words = {"qos_specs": {"name": f"specs-{stage.suffix}", "total_iops_sec": "500"}}
    return {"specs_id": stage.make("block_storage", "/qos-specs", words, "admin")["qos_specs"]["id"]}


MAKERS = {"/qos-specs/{specs_id}": qos_specs}
