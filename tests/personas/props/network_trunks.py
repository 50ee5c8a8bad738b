# SPDX-License-Identifier: Apache-2.0
"""What the paths of network's trunks name."""

from __future__ import annotations

from personas.props.network import made, owned
from personas.stage import Prop, Stage


def trunk(stage: Stage) -> Prop:
    parent = made(stage, "port", network_id=made(stage, "network")["id"])
    return owned(stage, made(stage, "trunk", port_id=parent["id"]))


def loose_port(stage: Stage) -> Prop:
    """A port that nothing runs on."""
    return {"id": made(stage, "port", network_id=made(stage, "network")["id"])["id"]}


MAKERS = {"/trunks/{id}": trunk, "loose port": loose_port}
