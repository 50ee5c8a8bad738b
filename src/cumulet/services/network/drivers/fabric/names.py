# SPDX-License-Identifier: Apache-2.0
"""Names of the fabric's namespaces and devices, derived from object ids so that nothing has to be remembered.

Linux takes 15 characters for a device. The first 11 characters of an id (40 random bits) follow a prefix that says what
the device is; the prefixes are those that OpenStack's operators know.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

BRIDGE = "brq"  # begins the names of networks' bridges
SERVICE_LEG = "svc"  # inside a network's service namespace
HOST_PEER = "uplink0"  # the fabric's end of the cable to the host


def suffix(state: Path) -> str:
    """Six hexadecimal digits that set this installation apart from others on the machine."""
    return hashlib.sha256(str(state.resolve()).encode()).hexdigest()[:6]


def fabric(mark: str) -> str:
    """The namespace of the bridges."""
    return f"cumulet-{mark}"


def router_namespace(mark: str, router_id: str) -> str:
    return f"{fabric(mark)}-r{router_id[:11]}"


def service_namespace(mark: str, network_id: str) -> str:
    return f"{fabric(mark)}-d{network_id[:11]}"


def scratch_space(mark: str) -> str:
    """Where an engine tries at its start what the kernel can."""
    return f"{fabric(mark)}-probe"


def host_space(mark: str) -> str:
    """The namespace that stands for the host's own, where that one cannot be touched."""
    return f"{fabric(mark)}-host"


def host_cable(mark: str) -> str:
    """The only device that stands in the host's own namespace."""
    return f"cml{mark}"


def bridge(network_id: str) -> str:
    return f"{BRIDGE}{network_id[:11]}"


def tap(port_id: str) -> str:
    return f"tap{port_id[:11]}"


def tunnel(network_id: str) -> str:
    """The network's way to other hosts."""
    return f"vx-{network_id[:11]}"


def vlan(network_id: str) -> str:
    """The bridge's end of the network's way to a tagged link."""
    return f"vl-{network_id[:11]}"


def vlan_stub(network_id: str) -> str:
    """The other end of it, where frames get their tag."""
    return f"vs-{network_id[:11]}"


def subport_stub(port_id: str) -> str:
    """Where frames of a subport get their tag; the other end is called as any port's tap is."""
    return f"spt-{port_id[:11]}"


def service_plug(network_id: str) -> str:
    """The bridge's end of the cable to a service namespace."""
    return f"sv-{network_id[:11]}"


def router_plug(port_id: str) -> str:
    """The bridge's end of the cable to a router."""
    return f"rt-{port_id[:11]}"


def inner_leg(port_id: str) -> str:
    """A router's inside interface, within its namespace."""
    return f"qr-{port_id[:11]}"


def snat_leg(port_id: str) -> str:
    """The leg by which a distributed router's central host is reached from others, within its namespace."""
    return f"sg-{port_id[:11]}"


def outer_leg(port_id: str) -> str:
    """A router's gateway interface, within its namespace."""
    return f"qg-{port_id[:11]}"
