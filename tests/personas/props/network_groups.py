# SPDX-License-Identifier: Apache-2.0
"""What the paths of address groups name."""

from __future__ import annotations

from personas.props.network import owned
from personas.stage import Prop, Stage


def address_group(stage: Stage) -> Prop:
    words = {"name": "offices", "addresses": ["192.0.2.0/24"]}
    return owned(stage, stage.make("network", "/address-groups", {"address_group": words}, "member")["address_group"])


MAKERS = {"/address-groups/{id}": address_group}
