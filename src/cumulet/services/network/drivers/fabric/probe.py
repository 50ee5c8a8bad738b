# SPDX-License-Identifier: Apache-2.0
"""What this host's kernel and programs can do, found by doing it in a scratch namespace."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable

import msgspec
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from cumulet.services.network.drivers.fabric import helpers, nft, shapers
from cumulet.services.network.drivers.fabric.egress import refusal
from cumulet.services.network.drivers.fabric.links import sysctl
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.taps import open_tap
from cumulet.services.network.types import Capabilities, PortState, ShapeState, qos

_BRIDGE_FILTER = """table bridge probe { set s { type ifname . ether_addr . ipv4_addr; flags interval; }
chain c { type filter hook prerouting priority -300; meta mark set 0; iifname . ether saddr . ip saddr @s accept; }
}"""
_ZONES = """table inet probe { map z { typeof meta iifname : ct zone; }
chain c { type filter hook prerouting priority raw; ct zone set meta iifname map @z; }
}"""
_NAT = """table ip probe { map m { type ipv4_addr : ipv4_addr; }
chain c { type nat hook postrouting priority srcnat; snat to ip saddr map @m; }
}"""


def probe(*, egress: bool = True) -> Capabilities:
    """Try everything once, the way to the outside world only where it is wanted; takes about 100 ms."""
    scratch = Namespace(f"cumulet-probe-{secrets.token_hex(3)}")
    try:
        scratch.create()
    except OSError as error:
        reason = f"no network namespace can be made: {error.strerror}"
        return Capabilities(
            driver="fabric", namespaces=False, bridge_filter=False, bridge_netfilter=False, nat=False, tap=False,
            missing={"namespaces": reason},
        )  # fmt: skip
    try:
        missing = scratch.visit(_try_all)
        shapes, refused = scratch.visit(_shapes)
        readers = scratch.visit(helpers.probe)
        complaint = refusal(scratch) if egress else "it is switched off (network.egress)"
        if complaint is not None:
            missing["egress"] = complaint
        if refused:
            missing["qos"] = refused
    finally:
        scratch.delete()
    return Capabilities(
        driver="fabric",
        bridge_filter="bridge_filter" not in missing,
        bridge_netfilter="bridge_netfilter" not in missing,
        nat="nat" not in missing,
        tap="tap" not in missing,
        vxlan="vxlan" not in missing,
        egress="egress" not in missing,
        qos_rules=shapes,
        helpers=readers,
        missing=missing,
    )


def _try_all() -> dict[str, str]:
    missing: dict[str, str] = {}
    tries: dict[str, Callable[[], str | None]] = {
        "bridge": lambda: _device(kind="bridge"),
        "veth": lambda: _device(kind="veth", peer={"ifname": "probe1"}),
        "vxlan": lambda: _device(kind="vxlan", vxlan_id=1, vxlan_port=4789),
        "bridge_filter": lambda: nft.accepts(_BRIDGE_FILTER),
        "zones": lambda: nft.accepts(_ZONES),
        "nat": lambda: nft.accepts(_NAT),
        "bridge_netfilter": _bridge_netfilter,
        "tap": _tap,
    }
    for feature, attempt in tries.items():
        complaint = attempt()
        if complaint is not None:
            missing[feature] = complaint
    return missing


def _shapes() -> tuple[list[str], str]:
    """The types of QoS rules that the kernel takes, and what it says to the others."""
    tried = PortState(id="0" * 11, network_id="", mac="")
    found, refused = [], []
    for type_ in shapers.TYPES:
        shape = ShapeState(type=type_, direction=qos.EGRESS, rate=8)
        text = shapers.ports_table([msgspec.structs.replace(tried, shapes=[shape])])
        complaint = nft.accepts(f"table bridge probe_{type_} {{\n{text}\n}}\n")
        if complaint is None:
            found.append(type_)
        else:
            refused.append(f"{type_}: {complaint}")
    return found, "; ".join(refused)


def _device(**words: object) -> str | None:
    with IPRoute() as route:
        try:
            route.link("add", ifname="probe0", **words)
            route.link("del", ifname="probe0")
        except NetlinkError as error:
            return f"the kernel makes no {words['kind']}: {error}"
    return None


def _bridge_netfilter() -> str | None:
    try:
        sysctl("net/bridge/bridge-nf-call-iptables", "1")
        with open("/proc/sys/net/bridge/bridge-nf-call-iptables", encoding="ascii") as switch:  # noqa: PTH123
            return None if switch.read().strip() == "1" else "br_netfilter cannot be switched on"
    except OSError as error:
        return f"the kernel module br_netfilter is not loaded ({error.strerror}): modprobe br_netfilter"


def _tap() -> str | None:
    try:
        os.close(open_tap("probetap"))
    except OSError as error:
        return f"/dev/net/tun: {error.strerror}"
    return None
