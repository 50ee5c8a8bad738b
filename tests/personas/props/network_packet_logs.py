# SPDX-License-Identifier: Apache-2.0
"""What the paths of packet logs name."""

from __future__ import annotations

from personas.props.network import owned
from personas.stage import Maker, Prop, Stage


def packet_log(stage: Stage) -> Prop:
    made = stage.make("network", "/log/logs", {"log": {"resource_type": "security_group"}}, "manager")
    return owned(stage, made["log"])


MAKERS: dict[str, Maker] = {"/log/logs/{id}": packet_log}
