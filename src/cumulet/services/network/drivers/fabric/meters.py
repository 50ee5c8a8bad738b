# SPDX-License-Identifier: Apache-2.0
"""Routers' counters: a table of their own, with a named counter for each label, in the router's namespace.

Counters live through changes of the rules, and through restarts of the agent: rules are replaced around them. A chain
named at random says which life of the table they are from, so that whoever remembers what they said last knows whether
they have begun anew since. What a router forwards is counted once for a label, whichever of its rules mean it.
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
from collections.abc import Iterable
from functools import partial

from cumulet.services.network.drivers.fabric import names, nft
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.types.metering import EGRESS
from cumulet.services.network.types.meters import MeterReading, MeterRuleState, MeterState
from cumulet.services.network.types.states import RouterState

TABLE = "cumulet_meters"
_PLACE = f"inet {TABLE}"
_BORN = "born-"
_CHAIN = "forwarded"


class Meters(Stage):
    """Brings the routers' counters to their state."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._counting: set[str] = set()  # routers that have the table

    def settle(self, run: Run) -> None:
        for router in run.state.routers:
            if run.is_new(router) and (router.meters or router.id in self._counting or not run.known):
                with run.guarded(router.id):
                    space = _space(self._ground.options.mark, router)
                    run.changes += space.visit(partial(_settle, router.meters, thorough=not run.known))
                    (self._counting.add if router.meters else self._counting.discard)(router.id)


def read(mark: str, routers: Iterable[RouterState]) -> list[MeterReading]:
    """What these routers have counted; of one that cannot be asked, nothing."""
    found: list[MeterReading] = []
    for router in (each for each in routers if each.meters):
        space = _space(mark, router)
        if space.exists():
            found += space.visit(partial(_read, router))
    return found


def _space(mark: str, router: RouterState) -> Namespace:
    return Namespace(names.router_namespace(mark, router.id))


def _read(router: RouterState) -> list[MeterReading]:
    born = next((name for name in nft.chains("inet", TABLE) if name.startswith(_BORN)), None)
    counted = nft.counters("inet", TABLE) if born is not None else {}
    return [
        MeterReading(
            router_id=router.id,
            label_id=meter.id,
            project_id=meter.project_id,
            born=born or "",
            packets=counted[_counter(meter)][0],
            bytes=counted[_counter(meter)][1],
        )
        for meter in router.meters
        if _counter(meter) in counted
    ]


def _settle(meters: list[MeterState], *, thorough: bool) -> bool:
    """Have counters and rules in the calling thread's namespace; whether anything had to be done."""
    if not meters:
        return nft.remove("inet", TABLE)
    present = nft.chains("inet", TABLE)
    rules = list(commands(meters))
    stamp = "v" + hashlib.sha256("\n".join(rules).encode()).hexdigest()[:24]
    is_so = stamp in present
    if is_so and not thorough:
        return False
    kept = {_CHAIN, stamp, *(_chain(meter) for meter in meters)}
    gone = [name for name in present if name not in kept and not name.startswith(_BORN)]
    lost = nft.counters("inet", TABLE).keys() - {_counter(meter) for meter in meters} if present else set()
    birth = [] if any(name.startswith(_BORN) for name in present) else [f"{_BORN}{secrets.token_hex(8)}"]
    nft.load(
        "\n".join(
            [
                f"add table {_PLACE}",
                f"flush table {_PLACE}",
                *rules,
                *(f"delete chain {_PLACE} {name}" for name in gone),
                *(f"delete counter {_PLACE} {name}" for name in sorted(lost)),
                *(f"add chain {_PLACE} {name}" for name in (*birth, stamp)),
            ]
        )
    )
    return not is_so


def commands(meters: Iterable[MeterState]) -> Iterable[str]:
    """What makes the labels' counters and rules in a table without rules; counters that are there stay as they are."""
    yield f"add chain {_PLACE} {_CHAIN} {{ type filter hook forward priority 10; }}"
    for meter in sorted(meters, key=lambda each: each.id):
        chain = _chain(meter)
        yield f"add counter {_PLACE} {_counter(meter)}"
        yield f"add chain {_PLACE} {chain}"
        for rule in sorted(meter.rules, key=lambda each: not each.excluded):
            words = _match(rule)
            if words is not None:
                done = "return" if rule.excluded else f"counter name {_counter(meter)} return"
                yield f"add rule {_PLACE} {chain} {words} {done}"
        yield f"add rule {_PLACE} {_CHAIN} jump {chain}"


def _chain(meter: MeterState) -> str:
    return f"l-{meter.id}"


def _counter(meter: MeterState) -> str:
    return f"c-{meter.id}"


def _match(rule: MeterRuleState) -> str | None:
    """The rule's packets in nft's words; None where there are none, for the two ends are of different IP versions."""
    ends = {"saddr": rule.source, "daddr": rule.destination}
    networks = {word: ipaddress.ip_network(cidr, strict=False) for word, cidr in ends.items() if cidr}
    versions = {network.version for network in networks.values()}
    if len(versions) > 1:
        return None
    words = ['oifname "qg-*"' if rule.direction == EGRESS else 'iifname "qg-*"']
    for version in versions:
        words.append(f"meta nfproto ipv{version}")
    for word, network in networks.items():
        if network.prefixlen:
            words.append(f"{'ip' if network.version == 4 else 'ip6'} {word} {network}")
    return " ".join(words)
