# SPDX-License-Identifier: Apache-2.0
"""QoS rules as tables of nftables: what goes beyond a limit is dropped, what a guest sends is marked.

Ports are known by their taps' names, so that their rules stand before a tap does, and no tap needs anything done to it.
Routers hold external addresses to limits where these stand in packets: before those that come are translated, and after
those that leave were.

LIMITATIONS: limits police, they do not queue. What passes at once is never less than passes in a second, for so the
kernel counts bytes, nor than 64 KiB, the largest piece in which guests hand over what they send.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from cumulet.services.network.drivers.fabric import names, nft, watched
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.types import PortState, RouterState, ShapeState, qos

TABLE = "cumulet_qos"
TYPES = (qos.BANDWIDTH_LIMIT, qos.DSCP_MARKING, qos.PACKET_RATE_LIMIT)  # what can be tried, and then done

_BYTES = 125  # of a kilobit
_USUAL = 0.8  # the burst where none is named, as a part of what passes in a second: Neutron's
_LEAST_BYTES, _MOST_BYTES = 1 << 16, 4_000_000_000
_LEAST_PACKETS, _MOST_PACKETS = 10, 1 << 31
# Beyond these (100 Gbit/s, 10^9 packets/s) the kernel's sums would not hold, and nothing is that fast.
_NO_LIMIT = {qos.BANDWIDTH_LIMIT: 100_000_000, qos.PACKET_RATE_LIMIT: 1_000_000}

_PORTS = """
{chains}
map leaving {{ type ifname : verdict; {leaving} }}
map reaching {{ type ifname : verdict; {reaching} }}
chain from {{ type filter hook prerouting priority -290;
iifname vmap @leaving
}}
chain to {{ type filter hook postrouting priority 0;
oifname vmap @reaching
}}
"""

_ADDRESSES = """
{chains}
map leaving4 {{ type ipv4_addr : verdict; {egress4} }}
map leaving6 {{ type ipv6_addr : verdict; {egress6} }}
map reaching4 {{ type ipv4_addr : verdict; {ingress4} }}
map reaching6 {{ type ipv6_addr : verdict; {ingress6} }}
chain from {{ type filter hook postrouting priority 110;
{watching}
oifname "qg-*" ip saddr vmap @leaving4
oifname "qg-*" ip6 saddr vmap @leaving6
{egress}
}}
chain to {{ type filter hook prerouting priority -150;
{watched}
iifname "qg-*" ip daddr vmap @reaching4
iifname "qg-*" ip6 daddr vmap @reaching6
{ingress}
}}
"""
_DEVICE = {qos.EGRESS: 'oifname "qg-*"', qos.INGRESS: 'iifname "qg-*"'}


class Shapers(Stage):
    """The limits and marks of servers' ports, and the limits of external addresses."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._loaded: str | None = None
        self._routers: set[str] = set()  # that have a table

    def plug(self, links: Links, run: Run) -> None:
        shaped = [port for port in run.state.ports if any(_words(shape) for shape in port.shapes)]
        text = ports_table(shaped)
        if run.known and text == self._loaded:
            return
        try:
            run.changes += _settle("bridge", text if shaped else None, run)
            self._loaded = text
        except nft.RulesRefused as error:
            for port in shaped:
                run.failed.setdefault(port.id, str(error))

    def settle(self, run: Run) -> None:
        for router in run.state.routers:
            if run.is_new(router) and (router.shapes or router.id in self._routers or not run.known):
                with run.guarded(router.id):
                    space = Namespace(names.router_namespace(self._ground.options.mark, router.id))
                    text = addresses_table(router) if router.shapes else None
                    run.changes += space.visit(partial(_settle, "inet", text, run))
                    (self._routers.add if router.shapes else self._routers.discard)(router.id)


def _settle(family: str, text: str | None, run: Run) -> bool:
    """Have the table in the calling thread's namespace, or (None) not; whether anything had to be done."""
    return nft.remove(family, TABLE) if text is None else nft.replace(family, TABLE, text, thorough=not run.known)


def ports_table(ports: Iterable[PortState]) -> str:
    """The bridge table for ports with shapes."""
    chains: list[str] = []
    jumps: dict[str, list[str]] = {qos.EGRESS: [], qos.INGRESS: []}
    for port in sorted(ports, key=lambda port: port.id):
        for direction, found in jumps.items():
            lines = [_words(shape) for shape in port.shapes if shape.direction == direction]
            if any(lines):
                chain = f"{direction[0]}-{port.id}"
                chains.append(f"chain {chain} {{\n" + "\n".join(line for line in lines if line) + "\n}")
                found.append(f'"{names.tap(port.id)}" : jump {chain}')
    return _PORTS.format(
        chains="\n".join(chains), leaving=_elements(jumps[qos.EGRESS]), reaching=_elements(jumps[qos.INGRESS])
    )


def addresses_table(router: RouterState) -> str:
    """The inet table for a router with shapes."""
    chains: list[str] = []
    jumps: dict[str, list[str]] = {f"{direction}{version}": [] for direction in qos.DIRECTIONS for version in (4, 6)}
    whole: dict[str, str] = dict.fromkeys(qos.DIRECTIONS, "")
    for number, (address, shapes) in enumerate(sorted(router.shapes.items())):
        for direction in qos.DIRECTIONS:
            lines = [words for shape in shapes if shape.direction == direction and (words := _words(shape))]
            chain = f"{direction[0]}-{number}"
            if lines:
                chains.append(f"chain {chain} {{\n" + "\n".join(lines) + "\n}")
            if lines and address:
                jumps[f"{direction}{6 if ':' in address else 4}"].append(f"{address} : jump {chain}")
            elif lines:
                whole[direction] = f"{_DEVICE[direction]} jump {chain}"
    return _ADDRESSES.format(
        chains="\n".join(chains),
        egress=whole[qos.EGRESS],
        ingress=whole[qos.INGRESS],
        watching=_spared(router, qos.EGRESS),
        watched=_spared(router, qos.INGRESS),
        **{name: _elements(found) for name, found in jumps.items()},
    )


def _spared(router: RouterState, direction: str) -> str:
    """What watches next hops is not held to limits: a full line is not a dead one."""
    matches = watched.arriving(router) if direction == qos.INGRESS else watched.leaving(router)
    return "\n".join(f"{match} accept" for match in matches)


def _words(shape: ShapeState) -> str:
    """The rule in nft's words; "" for one that asks for nothing (a rate of nothing is no limit)."""
    if shape.type == qos.DSCP_MARKING:
        return f"ip dscp set {shape.rate}\nip6 dscp set {shape.rate}"
    most = _NO_LIMIT.get(shape.type, 0)
    if not 0 < shape.rate < most:
        return ""
    amount = shape.burst or int(shape.rate * _USUAL)
    if shape.type == qos.BANDWIDTH_LIMIT:
        # The kernel lets pass at once what passes in a second, and the burst on top of it.
        rate = shape.rate * _BYTES
        burst = min(max(amount * _BYTES - rate, _LEAST_BYTES - rate, 1), _MOST_BYTES)
        return f"limit rate over {rate} bytes/second burst {burst} bytes drop"
    burst = min(max(amount * 1000, _LEAST_PACKETS), _MOST_PACKETS)
    return f"limit rate over {shape.rate * 1000}/second burst {burst} packets drop"


def _elements(items: list[str]) -> str:
    return f"elements = {{ {', '.join(items)} }};" if items else ""
