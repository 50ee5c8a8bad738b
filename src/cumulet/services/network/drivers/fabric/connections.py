# SPDX-License-Identifier: Apache-2.0
"""Tracked connections follow the rules: what they do not allow any more ends, what moves with its port goes on there.

Connection tracking knows no ports and no rules: an established connection passes whoever began it, for as long as the
kernel remembers it. So whenever a port has less rights than before, the connections of its addresses are judged anew;
and where an external address means another, or nothing, those that a router translated to it. What rules have ended
goes on where a port has more rights again in time.

The kernel's table is one for all namespaces, and is read from end to end. So that is done behind the applies, for all
that has come together, on a thread that rests three times as long as it works.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice

from cumulet.services.network.drivers.fabric import conntrack, names, translated
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.stages import Ground, Run, Stage
from cumulet.services.network.drivers.fabric.translated import Translated
from cumulet.services.network.types import HostState, PortState, RouterState, connections, ended
from cumulet.services.network.types.connections import Connection, Judge, Suspects, TcpState

LOG = logging.getLogger(__name__)

MOST = 10_000  # connections of a port that move with it
MOST_KEPT = 50_000  # of all ports that are gone
KEPT = 60.0  # seconds that those of a port that is gone are kept for its next host
PATIENCE = 10.0  # seconds for what is to be ended to have ended
_REST, _TRIES = 3, 3
_REPLIES = {8: 0, 13: 14, 128: 129}  # ICMP types


class Work:
    """What is to be looked at: whose connections on which networks, those of zones that are no more, and of routers.

    `state` is the last one, by which is judged, `before` the last one by which all of them stood; `zones` are those of
    its networks; `cleared` are networks by what was their zone. `favoured` are those whose ended connections may go on.
    `gone` are ports by id, each with its network and addresses. `first` says that the agent has come anew and knows
    nothing of before. `failures` are how often it was tried in vain.
    """

    def __init__(self, state: HostState, zones: dict[str, int]) -> None:
        self.state = self.before = state
        self.zones = zones
        self.suspects: dict[str, Suspects] = {}
        self.favoured: dict[str, Suspects] = {}
        self.cleared: dict[int, str] = {}
        self.gone: dict[str, tuple[str, frozenset[str]]] = {}
        self.routers: dict[str, RouterState] = {}
        self.first = False
        self.failures = 0

    def __bool__(self) -> bool:
        return bool(self.suspects or self.favoured or self.cleared or self.routers or self.first)


class Connections(Stage):
    """Ends connections as rules, ports and external addresses go, and hands over those of ports that move.

    It remembers what rules have ended, for the case that they come back.
    """

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground)
        self._home = ground.home
        self._changed = threading.Condition()
        self._work = Work(HostState(), {})
        self._busy = False
        self._hurry = 0
        self._left: dict[str, tuple[float, list[Connection]]] = {}
        self._strangers: dict[str, set[str]] = {}
        self._ended = ended.Ended()
        self._translated = Translated(ground.options.mark)

    def plug(self, links: Links, run: Run) -> None:
        """By now the rules stand, so what is ended does not begin again."""
        zones = _zones(links, run.state)
        found = connections.suspects(run.before, run.state)
        here = {port.id for port in run.state.ports}
        known = {port.id for port in run.before.ports}
        # Only the thread, which is busy then, ends anything that could go on.
        favoured = connections.favoured(run.before, run.state) if self._ended or self._busy else {}
        with self._changed:
            for port in run.state.ports if self._strangers else ():
                heirs = {one.address for one in port.addresses} & self._strangers.get(port.network_id, set())
                if heirs and port.id not in known:
                    found.setdefault(port.network_id, Suspects()).addresses |= heirs
            work = self._work
            work.cleared |= {zone: key for key, zone in work.zones.items() if key not in zones}
            if found and not work.suspects:
                work.before = run.before
            work.state, work.zones = run.state, zones
            work.first |= not run.before.generation
            connections.add(found, to=work.suspects)
            connections.add(favoured, to=work.favoured)
            gone = {port.id: port for port in run.before.ports if port.id not in here}
            work.gone |= {key: (port.network_id, _addresses(port)) for key, port in gone.items()}
            if self._ended:
                self._ended.forget(gone, time.monotonic())

    def settle(self, run: Run) -> None:
        """By now routers translate anew."""
        before = {router.id: router for router in run.before.routers}
        with self._changed:
            self._left = self._recent()
            kept = self._work.routers.keys() | self._translated.over()
            self._work.routers = {router.id: router for router in run.state.routers if router.id in kept}
            self._translated.keep(router.id for router in run.state.routers)
            for router in run.state.routers:
                old = before.get(router.id)
                if (old is None and not run.before.generation) or (
                    old is not None and translated.meaning(old) != translated.meaning(router)
                ):
                    self._work.routers[router.id] = router
            if self._work and not self._busy:
                self._busy = True
                threading.Thread(target=self._serve, name="connections", daemon=True).start()

    def remove(self) -> None:
        """Let go of all that is under way."""
        with self._changed:
            self._work = Work(HostState(), {})
            self._ended = ended.Ended()
        self._wait()

    def of(self, state: HostState, port_ids: Iterable[str]) -> list[Connection]:
        """The connections of ports that are here, or were a moment ago."""
        self._wait()
        wanted = set(port_ids)
        with self._changed:
            zones = self._work.zones
            found = [one for key, held in self._recent().items() if key in wanted for one in held[1]]
        if any(port.id in wanted for port in state.ports) and self._home.exists():
            by_zone = {zone: network_id for network_id, zone in zones.items()}
            entries = self._home.visit(conntrack.read)
            tracked = [_connection(by_zone[entry.zone], entry) for entry in entries if entry.zone in by_zone]
            for port in state.ports:
                if port.id in wanted:
                    found += _of(port.network_id, _addresses(port), tracked)[:MOST]
        return found

    def adopt(self, state: HostState, offered: Iterable[Connection]) -> int:
        """Track MOST connections of another host's, as far as the rules here let them begin; how many those are."""
        with self._changed:
            zones = self._work.zones
        some = islice(offered, MOST)
        fitting = [one for one in connections.welcome(state, some) if one.network_id in zones]
        if fitting:
            entries = [_entry(one, zones[one.network_id]) for one in fitting]
            self._home.visit(partial(conntrack.create, entries))
        return len(fitting)

    def _wait(self) -> None:
        """Until what was asked for has ended."""
        with self._changed:
            self._hurry += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._busy, PATIENCE)
            self._hurry -= 1

    def _serve(self) -> None:
        while True:
            with self._changed:
                if not self._work:
                    self._busy = False
                    self._changed.notify_all()
                    return
                work, self._work = self._work, Work(self._work.state, self._work.zones)
            began = time.monotonic()
            try:
                self._end(work)
            except Exception:
                if self._home.exists():  # else its connections went with it
                    LOG.exception("connections that are not allowed any more go on")
                    self._again(work)
            with self._changed:
                self._changed.wait_for(lambda: self._hurry, _REST * (time.monotonic() - began))

    def _again(self, work: Work) -> None:
        """Try once more in a second, unless the kernel seems to be one that never tells."""
        if work.failures >= _TRIES:
            return
        time.sleep(1)
        with self._changed:
            self._work.failures = work.failures + 1
            self._work.before = work.before if work.suspects else self._work.before
            connections.add(work.suspects, to=self._work.suspects)
            connections.add(work.favoured, to=self._work.favoured)
            self._work.cleared |= work.cleared
            self._work.first |= work.first
            self._work.routers = work.routers | self._work.routers

    def _end(self, work: Work) -> None:
        if work.suspects or work.cleared or work.first:
            ending = self._home.visit(lambda: self._condemned(work))
            LOG.debug("%s connections are not allowed any more", ending)
        if work.favoured:
            self._resume(work)
        for router in work.routers.values():
            self._translated.end(router)

    def _resume(self, work: Work) -> None:
        """Let what was ended go on, as far as the rules let it begin now; what began anew meanwhile is not touched."""
        with self._changed:
            held = self._ended.all()
        found = ended.resumed(held, Judge(work.state), work.favoured, time.monotonic()) if held else []
        entries = [_entry(one, work.zones[one.network_id]) for one in found if one.network_id in work.zones]
        if entries:
            LOG.debug("%s connections are allowed again", len(entries))
            self._home.visit(partial(conntrack.create, entries))
            with self._changed:
                self._ended.drop(found)

    def _condemned(self, work: Work) -> int:
        """Called in the fabric's namespace."""
        by_zone = work.cleared | {zone: network_id for network_id, zone in work.zones.items()}
        ending: list[conntrack.Entry] = []
        tracked: dict[str, dict[Connection, conntrack.Entry]] = {}
        entries = conntrack.read()
        standing = _standing_zones() if work.first else set()  # later than the entries: new networks have theirs too
        for entry in entries:
            if entry.zone in by_zone:
                network_id = by_zone[entry.zone]
                tracked.setdefault(network_id, {})[_connection(network_id, entry)] = entry
                if network_id not in work.zones:
                    ending.append(entry)
            elif work.first and entry.zone and entry.zone not in standing:
                ending.append(entry)
        self._keep(work, tracked)
        judge = Judge(work.state)
        if work.first:
            self._remember_strangers(work.state, judge, tracked)
        judged: list[Connection] = []
        for network_id, suspected in work.suspects.items():
            known = tracked.get(network_id, {})
            found = list(connections.condemned(judge, network_id, suspected, known))
            ending += (known[one] for one in found)
            judged += found
        if judged:
            before = Judge(work.before) if work.before.generation else judge
            with self._changed:
                self._ended.keep(judged, before, judge, time.monotonic())
        return conntrack.delete(ending)

    def _remember_strangers(self, state: HostState, judge: Judge, tracked: Mapping[str, Iterable[Connection]]) -> None:
        """Note who has connections that a new agent found, and is no port that it knows.

        One may have gone while there was no agent, or never was a port. So such a connection ends only where a port
        comes to the address that would not let it begin.
        """
        found = {}
        for network in state.networks:
            inside = connections.Addresses(subnet.cidr for subnet in network.subnets)
            ends = {end for one in tracked.get(network.id, ()) for end in one.ends}
            found[network.id] = {end for end in ends if end in inside and not judge.holders(network.id, end)}
        with self._changed:
            self._strangers = {key: ends for key, ends in found.items() if ends}

    def _keep(self, work: Work, tracked: dict[str, dict[Connection, conntrack.Entry]]) -> None:
        with self._changed:
            kept = self._recent()
            for port_id, (network_id, addresses) in work.gone.items():
                room = min(MOST, MOST_KEPT - sum(len(held) for _, held in kept.values()))
                own = _of(network_id, addresses, tracked.get(network_id, ()))[: max(room, 0)]
                if own:
                    kept[port_id] = (time.monotonic(), own)
            self._left = kept

    def _recent(self) -> dict[str, tuple[float, list[Connection]]]:
        """What ports that are gone left, but for what nobody will come for any more."""
        oldest = time.monotonic() - KEPT
        return {key: held for key, held in self._left.items() if held[0] > oldest}


def _addresses(port: PortState) -> frozenset[str]:
    return frozenset(one.address for one in port.addresses)


def _of(network_id: str, addresses: frozenset[str], tracked: Iterable[Connection]) -> list[Connection]:
    return [one for one in tracked if one.network_id == network_id and not addresses.isdisjoint(one.ends)]


def _zones(links: Links, state: HostState) -> dict[str, int]:
    """The zone of each network that has a bridge."""
    bridges = {network.id: links.devices.get(names.bridge(network.id)) for network in state.networks}
    return {key: device.number for key, device in bridges.items() if device is not None}


def _standing_zones() -> set[int]:
    """Called in the fabric's namespace."""
    with Links() as links:
        return {device.number for device in links.devices.values() if device.name.startswith(names.BRIDGE)}


def _connection(network_id: str, entry: conntrack.Entry) -> Connection:
    one = entry.original
    return Connection(
        network_id=network_id,
        protocol=one.protocol,
        source=one.source,
        destination=one.destination,
        source_port=one.source_port,
        destination_port=one.destination_port,
        icmp=one.icmp,
        answered=entry.answered,
        assured=entry.assured,
        seconds=entry.seconds,
        tcp=TcpState(state=entry.tcp[0], scales=entry.tcp[1:]) if entry.tcp is not None else None,
    )


def _entry(one: Connection, zone: int) -> conntrack.Entry:
    there = conntrack.Tuple(
        protocol=one.protocol,
        source=one.source,
        destination=one.destination,
        source_port=one.source_port,
        destination_port=one.destination_port,
        icmp=one.icmp,
    )
    icmp = (_REPLIES.get(one.icmp[0], one.icmp[0]), *one.icmp[1:]) if one.icmp is not None else None
    back = conntrack.Tuple(
        protocol=one.protocol,
        source=one.destination,
        destination=one.source,
        source_port=one.destination_port,
        destination_port=one.source_port,
        icmp=icmp,
    )
    return conntrack.Entry(
        zone=zone,
        original=there,
        reply=back,
        status=conntrack.flags(answered=one.answered, assured=one.assured),
        seconds=one.seconds,
        tcp=(one.tcp.state, *one.tcp.scales) if one.tcp is not None else None,
    )
