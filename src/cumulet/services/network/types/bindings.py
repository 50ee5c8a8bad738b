# SPDX-License-Identifier: Apache-2.0
"""Bindings of ports to hosts that are not the port's own, which stands in its row."""

from __future__ import annotations

from typing import Any

import msgspec

UNBOUND, BINDING_FAILED, BRIDGE = "unbound", "binding_failed", "bridge"
UNPLUGGED = (UNBOUND, BINDING_FAILED)
NO_BINDING = ""  # the vif type of a port whose own binding was deleted
INACTIVE = "INACTIVE"


class PortBinding(msgspec.Struct, frozen=True):
    """What plugs the port in on `host` once this binding is made the port's own; until then it is INACTIVE."""

    port_id: str
    host: str
    vnic_type: str
    profile: dict[str, Any]
    vif_type: str
    vif_details: dict[str, Any]
