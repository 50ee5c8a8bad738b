# SPDX-License-Identifier: Apache-2.0
"""A router's rulesets as text: source NAT, floating IPs and their ports with hairpin, and the way to metadata."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from cumulet.services.network.drivers.fabric import distributed, gateways, helpers, names, watched
from cumulet.services.network.types import FloatingState, ForwardState, GatewayState, RouterState

TABLE = "cumulet"
_AS_IT_IS = "0x10"  # the mark of packets that leave untranslated
METADATA_PORT = 9697  # where the metadata server listens inside a router

_NAT = """
set floating {{ type ipv4_addr; {addresses} }}
map inward {{ type ipv4_addr : ipv4_addr; {inward} }}
map outward {{ type ipv4_addr : ipv4_addr; {outward} }}
chain pre {{ type nat hook prerouting priority dstnat;
iifname "qr-*" ip daddr 169.254.169.254 tcp dport 80 redirect to :{metadata}
iifname "qr-*" ip daddr @floating ct mark set 1
iifname "sg-*" ip daddr @floating ct mark set 1
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
{watched}
ct state established,related accept
meta l4proto {{ 1, 58 }} accept
iifname "qr-*" ct status dnat tcp dport {metadata} accept
}}
chain forward {{ type filter hook forward priority 0;
iifname "qg-*" ct state invalid drop
oifname "qg-*" ct state invalid drop
{scopes}
{proxied}
ct state established,related accept
{hidden}
}}
{helpers}"""
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
    outward = _first_of_each(floating)
    own = next(filter(None, map(_own, router.gateways)), None)
    post: list[str] = []
    if router.gateways:
        post += ["ct mark 1 snat to ip saddr map @outward"]
        post += [f"ct mark 1 snat to {own}"] if own else _hairpins(router)
    for way in router.gateways:
        post += _floating_out(router, way, floating)
    if any(way.snat and _own(way) for way in router.gateways):
        post += [f"meta mark {_AS_IT_IS} accept"] if _untranslated(router) else []
    for way in router.gateways:
        if way.snat and _own(way):
            post += [f'oifname "{names.outer_leg(way.leg.port_id)}" snat to {_own(way)}']
    return _NAT.format(
        addresses=_elements(sorted({item.address for item in floating} | {item.address for item in forwards})),
        inward=_elements([f"{item.address} : {item.fixed}" for item in floating]),
        outward=_elements([f"{fixed} : {address}" for fixed, address in outward.items()]),
        metadata=METADATA_PORT,
        forwards="\n".join(_forward(item) for item in forwards),
        post="\n".join(post),
    )


def filter_table(router: RouterState, known: Collection[str] = ()) -> str:
    """The inet table: the router itself answers pings and metadata, nothing else; address scopes do not meet.

    Packets of no known connection do not pass the outside, where no translation would be made of them. Inside they
    do: with a router behind a router, one of the two hears one direction only.

    `known` are the conntrack helpers that the kernel has; the router makes do without others.
    """
    hides = router.gateway is not None and router.gateway.snat
    scopes = "\n".join([*_crossings(router, 4), *_crossings(router, 6), *_untranslated(router)])
    return _FILTER.format(
        metadata=METADATA_PORT,
        scopes=scopes,
        proxied=_proxied(router),
        watched=watched.admitted(router),
        hidden=_HIDDEN if hides else "",
        helpers=helpers.rules(router.helpers, known)
        + gateways.rules(router)
        + distributed.rules(router)
        + watched.untracked(router),
    )


def _hairpins(router: RouterState) -> list[str]:
    """An edge of a distributed router has no address outside: guests reach each other as from those inside."""
    return [
        f'ct mark 1 oifname "{names.inner_leg(leg.port_id)}" snat to {text.split("/")[0]}'
        for leg in router.legs
        for text in leg.addresses
        if ":" not in text
    ]


def _own(way: GatewayState) -> str | None:
    """The address that a gateway hides others behind."""
    return next((text.split("/")[0] for text in way.leg.addresses if ":" not in text), None)


def _first_of_each(floating: list[FloatingState]) -> dict[str, str]:
    """Addresses inside, which may have a floating one of each gateway, to the first one."""
    found: dict[str, str] = {}
    for item in floating:
        found.setdefault(item.fixed, item.address)
    return found


def _floating_out(router: RouterState, way: GatewayState, floating: list[FloatingState]) -> list[str]:
    """How addresses inside that have a floating one leave by the gateway."""
    outside = f'oifname "{names.outer_leg(way.leg.port_id)}"'
    if len(router.gateways) == 1:
        return [f"{outside} snat to ip saddr map @outward"]
    pairs = [f"{item.fixed} : {item.address}" for item in floating if router.gateway_of(item) == way]
    return [f"{outside} snat to ip saddr map {{ {', '.join(pairs)} }}"] if pairs else []


def _proxied(router: RouterState) -> str:
    """Where the router answers for addresses inside, these alone are reached from outside."""
    if router.proxied is None:
        return ""
    others = f"ip6 daddr != {{ {', '.join(router.proxied)} }} " if router.proxied else ""
    return f'meta nfproto ipv6 iifname "qg-*" {others}ct state new drop'


def _crossings(router: RouterState, version: int) -> list[str]:
    """Drops what would go from one address scope into another, but for what is translated on its way."""
    scopes = _scopes(router, version)
    if len(set(scopes.values())) < 2:
        return []
    family = "ipv4" if version == 4 else "ipv6"
    hidden = {names.outer_leg(way.leg.port_id) for way in router.gateways if way.snat and version == 4}
    lines = ["ct status dnat accept"] if version == 4 else []
    for device, scope in scopes.items():
        if device not in hidden:
            friends = _listed(other for other in scopes if scopes[other] == scope)
            lines.append(f'meta nfproto {family} oifname "{device}" iifname != {friends} ct state new drop')
    return lines


def _untranslated(router: RouterState) -> list[str]:
    """Marks what leaves for the outside within one address scope, and lets in what comes so."""
    scopes = _scopes(router, 4)
    outer = {names.outer_leg(way.leg.port_id) for way in router.gateways}
    lines = []
    for way in router.gateways:
        outside = names.outer_leg(way.leg.port_id)
        friends = [device for device, scope in scopes.items() if scope == way.leg.scope4 and device not in outer]
        if way.snat and way.leg.scope4 and outside in scopes and friends:
            inside = _listed(friends)
            lines += [
                f'meta nfproto ipv4 iifname {inside} oifname "{outside}" meta mark set {_AS_IT_IS}',
                f'meta nfproto ipv4 iifname "{outside}" oifname {inside} ct state new accept',
            ]
    return lines


def _scopes(router: RouterState, version: int) -> dict[str, str]:
    """The address scope of each device that has addresses of the version."""
    legs = [(names.inner_leg(leg.port_id), leg) for leg in router.legs]
    legs += [(names.snat_leg(leg.port_id), leg) for leg in distributed.snat_legs(router)]
    legs += [(names.outer_leg(way.leg.port_id), way.leg) for way in router.gateways]
    return {
        device: leg.scope4 if version == 4 else leg.scope6
        for device, leg in legs
        if any((":" in text) == (version == 6) for text in leg.addresses)
    }


def _listed(devices: Iterable[str]) -> str:
    return "{ " + ", ".join(f'"{device}"' for device in sorted(devices)) + " }"


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
