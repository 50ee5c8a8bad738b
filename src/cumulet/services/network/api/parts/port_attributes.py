# SPDX-License-Identifier: Apache-2.0
"""What ports say for those who plug them in: NUMA policy, device profile, hints, offload, trust, link states."""

from __future__ import annotations

from typing import Any

from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.parts.base import Part, columns
from cumulet.services.network.logic import port_attributes as logic
from cumulet.services.network.types import ACTIVE, DOWN

_NUMA_POLICIES = ("required", "preferred", "legacy", "socket", None)
_OFFLOADS = ("switchdev",)
_TX_STEERING = ("openvswitch", "other_config", "tx-steering")  # where the one hint that is known stands


def _text_form(value: Any) -> Any:
    return None if value is None else str(value)


def _hints(value: Any) -> str | None:
    """`{"openvswitch": {"other_config": {"tx-steering": "hash" | "thread"}}}`, or less of it."""
    for name in _TX_STEERING:
        if not isinstance(value, dict):
            return f"'{value}' is not a dictionary"
        unknown = [str(key) for key in value if key != name]
        if unknown:
            return f"Unexpected keys supplied: {', '.join(unknown)}"
        if name not in value:
            return None
        value = value[name]
    return check.one_of(("thread", "hash"))(value)


PORT_ATTRIBUTES = Part(
    attributes={
        "numa_affinity_policy": Attribute(
            post=True, put=True, default=None, check=check.one_of(_NUMA_POLICIES), filters=False
        ),
        "device_profile": Attribute(
            post=True,
            default=None,
            convert=lambda value: None if value == "" else value,
            check=check.or_none(check.text(255)),
            filters=False,
        ),
        "hints": Attribute(
            post=True,
            put=True,
            default=None,
            convert=lambda value: None if value == {} else value,
            check=check.or_none(_hints),
            enforce=True,
            filters=False,
        ),
        "hardware_offload_type": Attribute(
            post=True, default=ABSENT, convert=_text_form, check=check.one_of(_OFFLOADS), enforce=True, filters=False
        ),
        "trusted": Attribute(post=True, put=True, default=ABSENT, convert=check.boolean, enforce=True, filters=False),
        "data_plane_status": Attribute(
            put=True, default=ABSENT, check=check.one_of((None, ACTIVE, DOWN)), enforce=True, filters=False
        ),
        "propagate_uplink_status": Attribute(post=True, put=True, default=True, convert=check.boolean, filters=False),
    },
    render=columns(
        "numa_affinity_policy",
        "device_profile",
        "hints",
        "hardware_offload_type",
        "trusted",
        "data_plane_status",
        "propagate_uplink_status",
    ),
    check=logic.check,
)
