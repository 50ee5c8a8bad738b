# SPDX-License-Identifier: Apache-2.0
"""A router's rulesets as text: source NAT, floating IPs and their ports with hairpin, and the way to metadata."""

from __future__ import annotations

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.types import ForwardState, RouterState

TABLE = "cumulet"
METADATA_PORT = 9697  # where the metadata server listens inside a router

_NAT = """
set floating {{ type ipv4_addr; {addresses} }}
map inward {{ type ipv4_addr : ipv4_addr; {inward} }}
map outward {{ type ipv4_addr : ipv4_addr; {outward} }}
chain pre {{ type nat hook prerouting priority dstnat;
iifname "qr-*" ip daddr 169.254.169.254 tcp dport 80 redirect to :{metadata}
iifname "qr-*" ip daddr @floating ct mark set 1
dnat to ip daddr map @inward
{forwards}
}}
chain post {{ type nat hook postrouting priority srcnat;
{post}
}}
"""

_FILTER = """
chain input {{ type filter hook input priority 0; policy drop;
iifname "lo" accept
ct state established,related accept
meta l4proto {{ 1, 58 }} accept
iifname "qr-*" ct status dnat tcp dport {metadata} accept
}}
chain forward {{ type filter hook forward priority 0;
ct state invalid drop
{hidden}
}}
"""
# Behind source NAT the inside is reached by floating addresses only, whoever outside knows a route to it. IPv6 is never
# translated, so it is routed both ways: what may come in is up to the ports' security groups.
_HIDDEN = """meta nfproto ipv4 iifname "qg-*" ct state new ct status dnat accept
meta nfproto ipv4 iifname "qg-*" ct state new drop"""


def nat_table(router: RouterState) -> str:
    """The ip table: a floating address is mapped both ways; all else leaves from the gateway's first address.

    Connection mark 1 is the hairpin: a guest that reaches another, or itself, by a floating address; its source is
    replaced too, so that the answer comes back through the router.
    """
    floating = sorted(router.floating, key=lambda item: item.address)
    forwards = sorted(router.forwards, key=lambda item: (item.address, item.protocol, item.low))
    post: list[str] = []
    if router.gateway is not None:
        leg = router.gateway.leg
        own = next((text.split("/")[0] for text in leg.addresses if ":" not in text), None)
        outside = names.outer_leg(leg.port_id)
        post += ["ct mark 1 snat to ip saddr map @outward"]
        post += [f"ct mark 1 snat to {own}"] if own else []
        post += [f'oifname "{outside}" snat to ip saddr map @outward']
        if own and router.gateway.snat:
            post += [f'oifname "{outside}" snat to {own}']
    return _NAT.format(
        addresses=_elements(sorted({item.address for item in floating} | {item.address for item in forwards})),
        inward=_elements([f"{item.address} : {item.fixed}" for item in floating]),
        outward=_elements([f"{item.fixed} : {item.address}" for item in floating]),
        metadata=METADATA_PORT,
        forwards="\n".join(_forward(item) for item in forwards),
        post="\n".join(post),
    )


def filter_table(router: RouterState) -> str:
    """The inet table: the router itself answers pings and metadata, nothing else."""
    hides = router.gateway is not None and router.gateway.snat
    return _FILTER.format(metadata=METADATA_PORT, hidden=_HIDDEN if hides else "")


def _forward(item: ForwardState) -> str:
    """The rule that lets an address's ports lead inside. Ports that are shifted are named one by one."""
    outer = f"{item.low}-{item.high}" if item.high > item.low else str(item.low)
    match = f"ip daddr {item.address} {item.protocol} dport {outer}"
    if (item.fixed_low, item.fixed_high) == (item.low, item.high):
        return f"{match} dnat to {item.fixed}"
    if item.fixed_low == item.fixed_high:
        return f"{match} dnat to {item.fixed}:{item.fixed_low}"
    pairs = (f"{port} : {port - item.low + item.fixed_low}" for port in range(item.low, item.high + 1))
    return f"{match} dnat to {item.fixed} : {item.protocol} dport map {{ {', '.join(pairs)} }}"


def _elements(items: list[str]) -> str:
    return f"elements = {{ {', '.join(items)} }};" if items else ""
