# SPDX-License-Identifier: Apache-2.0
"""MACs of ports: given out, asked for, and taken over from the device that a port is passed through to."""

from __future__ import annotations

import re
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.services.network.logic import addressing, binding
from cumulet.services.network.logic.faults import fault, invalid
from cumulet.services.network.store import lookups
from cumulet.services.network.types import Port

PASSED_THROUGH = "direct-physical"  # the vnic type of ports that are a whole physical device


def free(tx: Tx, network_id: str, wanted: str | None) -> str:
    """`wanted`, which must be free on the network, or a new one for None. The network's addresses are locked."""
    if wanted is None:
        while lookups.is_mac_taken(tx, network_id, mac := addressing.new_mac()):
            pass
        return mac
    if lookups.is_mac_taken(tx, network_id, wanted):
        raise fault("MacAddressInUse", id=network_id, mac=wanted)
    return wanted


def own(tx: Tx, port: Port, wanted: str | None) -> str:
    """The MAC that a port gets when it is changed; one that runs with its own keeps it."""
    tx.lock(f"network:addresses:{port.network_id}")
    if port.device_owner.startswith("network:"):
        raise fault("UnsupportedPortDeviceOwner", op="mac address update", id=port.id, owner=port.device_owner)
    if binding.is_plugged(port):
        mac, kind = wanted or free(tx, port.network_id, None), binding.vif_type(port)
        raise fault("PortBound", id=port.id, vif_type=kind, old_mac=port.mac_address, new_mac=mac)
    return free(tx, port.network_id, wanted)


def in_profile(profile: dict[str, Any]) -> str | None:
    """The MAC of the physical device that the binding's profile names; None where it names none."""
    said = profile.get("device_mac_address")
    if not said:
        return None
    digits = re.sub(r"[-:.]", "", str(said)).lower()
    if not re.fullmatch(r"[0-9a-f]{12}", digits) or int(digits[1], 16) & 1 or not int(digits, 16):
        raise invalid(f"'{said}' of binding:profile is not a valid MAC address")
    return ":".join(digits[at : at + 2] for at in range(0, 12, 2))


def of_device(tx: Tx, port: Port, changes: dict[str, Any]) -> dict[str, str]:
    """The change of MAC that goes with `changes` of a port that is a whole physical device.

    Where it is bound anew it takes the device's own; what lets go of the device gets one of the network's again, so
    that the device's is free for others.
    """
    if changes.get("vnic_type", port.vnic_type) != PASSED_THROUGH:
        return {}
    is_bound_anew = any(changes.get(name, getattr(port, name)) != getattr(port, name) for name in _BINDING)
    is_let_go = port.device_id and not changes.get("device_id", port.device_id) and not changes.get("device_owner")
    host = changes.get("host", port.host)
    if host and is_bound_anew:
        wanted = in_profile(changes.get("profile", port.profile))
    elif is_let_go:
        wanted = None
    else:
        return {}
    tx.lock(f"network:addresses:{port.network_id}")
    return {"mac_address": wanted if wanted == port.mac_address else free(tx, port.network_id, wanted)}


_BINDING = ("host", "vnic_type", "profile")
