# SPDX-License-Identifier: Apache-2.0
"""What this host's kernel and programs can do, found by doing it in a scratch namespace.

As a program: the same, as JSON, for who has to ask in namespaces that a process with threads cannot enter.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable

import msgspec
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from cumulet.services.network.drivers.fabric import fence, helpers, names, nft, shapers, tags
from cumulet.services.network.drivers.fabric.egress import refusal
from cumulet.services.network.drivers.fabric.links import Links, sysctl
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.taps import open_tap
from cumulet.services.network.types import VLAN, Capabilities, PortState, ShapeState, qos

_BRIDGE_FILTER = """table bridge probe { set s { type ifname . ether_addr . ipv4_addr; flags interval; }
chain c { type filter hook prerouting priority -300; meta mark set 0; iifname . ether saddr . ip saddr @s accept; }
}"""
_ZONES = """table inet probe { map z { typeof meta iifname : ct zone; }
chain c { type filter hook prerouting priority raw; ct zone set meta iifname map @z; }
}"""
_PACKET_LOGS = """table bridge probe_logs { limit l { rate 100/second burst 25 packets; }
chain c { type filter hook forward priority 10;
limit name "l" log prefix "probe" group 1 snaplen 128
}
}
"""
_NAT = """table ip probe { map m { type ipv4_addr : ipv4_addr; }
chain c { type nat hook postrouting priority srcnat; snat to ip saddr map @m; }
}"""


_UNCARRIED = ("gre", "geneve")  # kinds of networks that there are no stages for, whatever the kernel has


def probe(*, egress: bool = True, mark: str = "") -> Capabilities:
    """Try everything once, the way to the outside world only where it is wanted; takes about 100 ms.

    It is tried beside what the engine of this `mark` has, whose next start takes away what a kill left of it.
    """
    scratch = Namespace(names.scratch_space(mark or secrets.token_hex(3)))
    try:
        scratch.delete()
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
        way, untagged = scratch.visit(_tags)
        complaint = refusal(scratch) if egress else "it is switched off (network.egress)"
        if complaint is not None:
            missing["egress"] = complaint
        if refused:
            missing["qos"] = refused
        if untagged:
            missing["tags"] = untagged
        missing |= {kind: f"the fabric carries no {kind}" for kind in _UNCARRIED if kind not in missing}
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
        qos_rules=[*shapes, *qos.PLACED],
        ha="ha" not in missing and "vxlan" not in missing,
        distributed=True,
        helpers=readers,
        network_types=[VLAN] if way else [],
        tags=way,
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
        "packet_logs": lambda: nft.accepts(_PACKET_LOGS),
        "ha": lambda: nft.accepts(fence.text()),
        "bridge_netfilter": _bridge_netfilter,
        "tap": _tap,
        "gre": lambda: _device(kind="gretap", gre_local="192.0.2.1", gre_remote="192.0.2.2"),
        "geneve": lambda: _device(kind="geneve", geneve_id=1, geneve_remote="192.0.2.2"),
    }
    for feature, attempt in tries.items():
        complaint = attempt()
        if complaint is not None:
            missing[feature] = complaint
    return missing


def _tags() -> tuple[str, str]:
    """What puts VLAN tags on frames here, the kernel's own devices first; where nothing does, why."""
    with Links() as links:
        links.pair("probe2", "probe3", 1500)
        complaints = []
        for way in (tags.KERNEL, tags.PROGRAMS):
            tried = tags.Tags(way)
            try:
                tried.settle(links, "probe2", [tags.Tagged(1, "probe4", "probe5", 1500)])
                tried.release(links, "probe2")
            except (OSError, NetlinkError) as error:
                complaints.append(f"{way}: {error}")
            else:
                return way, ""
    return "", "; ".join(complaints)


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


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(probe()))
