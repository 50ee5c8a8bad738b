# SPDX-License-Identifier: Apache-2.0
"""Routers that several hosts share: this host's word on each, what it hears of the others, and the fence.

A thread of its own speaks, listens and renews leases, and waits for nothing else: an apply that takes long must not
look like a host that has died. What follows from a router's coming or going is left to another thread.
"""

from __future__ import annotations

import contextlib
import logging
import select
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable

import msgspec

from cumulet.services.network.drivers.fabric import fence, names, nft
from cumulet.services.network.drivers.fabric.election import BEAT, LEASE, Candidate, Follower, Word
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.options import FabricOptions
from cumulet.services.network.types import HostState, RemoteState, RouterState

LOG = logging.getLogger(__name__)

_WORDS = 20  # of one datagram, which is never cut on its way
_MOST = 2048  # bytes of one
_AT_ONCE = 64  # datagrams, before it is looked at whether it is time to speak


class Beat(msgspec.Struct, frozen=True, array_like=True):
    """What one host tells another; `epoch` names the cloud."""

    epoch: str
    words: list[Word]


class Roles:
    """Which routers forward here, and where the others are. Its methods may be called from any thread.

    `turned` is called, on a thread of its own, with the ids of routers that came here, or are elsewhere than before.
    """

    def __init__(self, options: FabricOptions, home: Namespace, turned: Callable[[set[str]], None]) -> None:
        self._own = options.endpoint
        self._port = options.ha_port
        self._home = home
        self._turned = turned
        self._lock = threading.RLock()
        self._epoch = ""
        self._distributed: set[str] = set()
        self._candidates: dict[str, Candidate] = {}
        self._followers: dict[str, tuple[Follower, set[str]]] = {}
        self._plugs: dict[str, set[str]] = {}
        self._told: dict[str, set[str]] = {}
        self._turns: set[str] = set()
        self._turning = threading.Event()
        self._renewed = time.monotonic()
        self._live: set[str] = set()
        self._has_fence = False
        self._closed = False
        self._wire: socket.socket | None = None
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._threads: list[threading.Thread] = []

    def take(self, state: HostState) -> None:
        """Have the state's routers, and no other. Called in the host's namespace; OSError where it cannot listen."""
        shared = {router.id: router for router in state.routers if router.ha is not None}
        here = {router.id for router in state.routers if router.distributed is not None}
        far = {remote.router for remote in state.remotes if remote.router} - shared.keys() - here
        with self._lock:
            self._epoch, self._distributed = state.epoch, here
            gone = [self._candidates[key] for key in self._candidates.keys() - shared.keys()]
            told = {candidate.router: self._told.get(candidate.router, set()) for candidate in gone}
            self._candidates = {key: self._candidate(router) for key, router in shared.items()}
            self._followers = {
                key: (self._followers[key][0] if key in self._followers else Follower(), _places(state, key))
                for key in far
            }
            self._plugs = {key: _plugs(router) for key, router in shared.items()}
            self._told = {key: _audience(state, router) - {self._own} for key, router in shared.items()}
            # One that stands alone waits for nobody.
            self._turn({key for key, one in self._candidates.items() if not one.others and one.tick(time.monotonic())})
        self._leave(gone, told)
        if (any(_others(router) for router in shared.values()) or far) and self._own:
            self._listen()  # who cannot hear the others stands by for ever
        self._wake_up()

    def guard(self, *, thorough: bool) -> bool:
        """Bring the fence to its state, in the fabric's namespace; whether anything had to be done.

        `thorough`: look at what stands, also where nothing is to be fenced.
        """
        with self._lock:
            fenced = [plug for key, one in self._candidates.items() if one.others for plug in self._plugs[key]]
            if not fenced and not self._has_fence and not thorough:
                return False
            self._has_fence = bool(fenced)
            if not fenced:
                self._live = set()  # leases go with the fence
            return fence.guard(fenced, self._speaking())

    def at(self, remote: RemoteState) -> str:
        """The tunnel's address of the host where a remote port is now; "" where it is here, or nowhere."""
        if not remote.router:
            return remote.endpoint
        with self._lock:
            if remote.router in self._distributed:
                return ""
            if remote.router in self._candidates:
                candidate = self._candidates[remote.router]
                leader = "" if candidate.active else candidate.leader or remote.endpoint
                return "" if leader == self._own else leader
            follower = self._followers.get(remote.router)
            return (follower[0].leader if follower else None) or remote.endpoint

    def hears(self, remote: RemoteState) -> set[str]:
        """The tunnels' addresses of the hosts to which broadcasts are copied for a remote port's sake."""
        with self._lock:
            if remote.router and remote.router in self._distributed:
                return set()
        return {remote.endpoint, *remote.standbys} - {self._own}

    def is_active(self, router_id: str) -> bool:
        """Whether the router forwards here, as far as it is shared; any other does."""
        with self._lock:
            return router_id not in self._candidates or self._candidates[router_id].active

    def active(self) -> list[str]:
        """The shared routers that forward here."""
        with self._lock:
            return sorted(key for key, one in self._candidates.items() if one.active)

    def close(self) -> None:
        """Let the others have the routers, at once."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            left, told = list(self._candidates.values()), self._told
        self._wake_up()
        self._turning.set()
        for thread in self._threads:
            thread.join(5)
        self._leave(left, told)
        with self._lock:
            for sock in filter(None, (self._wire, self._wake, self._waker)):
                sock.close()

    def _candidate(self, router: RouterState) -> Candidate:
        assert router.ha is not None
        found = self._candidates.get(router.id)
        if found is None:
            others = frozenset(_others(router))
            return Candidate(router.id, router.ha.rank, others, router.ha.active, time.monotonic())
        found.rank, found.others = router.ha.rank, frozenset(_others(router))
        return found

    def _listen(self) -> None:
        if self._wire is not None:
            return
        wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            wire.bind((self._own, self._port))
        except OSError as error:
            wire.close()
            raise OSError(f"no word of routers is heard at {self._own} UDP port {self._port}: {error}") from error
        wire.setblocking(False)
        with self._lock:
            for one in self._candidates.values():
                one.since = time.monotonic()  # nothing was heard until now
            self._renewed = time.monotonic()
        self._wire = wire
        for name, work in (("routers", lambda: self._home.visit(self._serve)), ("routers turn", self._serve_turns)):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def _wake_up(self) -> None:
        with contextlib.suppress(OSError):  # BlockingIOError: it is about to wake up anyway
            self._waker.send(b"x")

    # In the thread that speaks.

    def _serve(self) -> None:
        due = time.monotonic()
        while not self._closed:
            has_part = bool(self._candidates)
            self._hear(max(0.0, due - time.monotonic()) if has_part else None)
            now = time.monotonic()
            if now >= due or not has_part:
                due = now + BEAT
                with self._lock:
                    turned = self._tick(now)
                self._speak()
                self._turn(turned)

    def _hear(self, patience: float | None) -> None:
        """Wait for words no longer than so many seconds, and take in all that there are."""
        assert self._wire is not None
        ready, _, _ = select.select([self._wire, self._wake], [], [], patience)
        if self._wake in ready:
            self._wake.recv(4096)
        turned: set[str] = set()
        for _ in range(_AT_ONCE if self._wire in ready else 0):
            try:
                data, (sender, port) = self._wire.recvfrom(_MOST)
            except BlockingIOError:
                break
            except OSError:
                continue  # what was sent to a host that does not listen comes back as an error here
            if port != self._port:
                continue  # the host's agent has that port, so this comes from somebody else there
            with contextlib.suppress(msgspec.DecodeError), self._lock:
                turned |= self._heard(sender, msgspec.msgpack.decode(data, type=Beat))
        if turned & self._candidates.keys():
            self._speak()
        self._turn(turned)

    def _heard(self, sender: str, beat: Beat) -> set[str]:
        now = time.monotonic()
        turned = set()
        for word in beat.words if beat.epoch == self._epoch else ():
            candidate = self._candidates.get(word.router)
            follower, places = self._followers.get(word.router, (None, set()))
            part, known = (candidate, candidate.others) if candidate is not None else (follower, places)
            if part is not None and sender in known and part.hear(sender, word, now):
                turned.add(word.router)
        return turned

    def _tick(self, now: float) -> set[str]:
        """Take over what it is time to, unless this host has slept: then the others may have, and are listened to."""
        slept = now - self._renewed > LEASE
        self._renewed = now
        for one in self._candidates.values() if slept else ():
            if one.active and one.others:
                one.active, one.leader, one.since = False, None, now
        return {key for key, one in self._candidates.items() if one.tick(now)}

    def _speak(self) -> None:
        """Renew the leases, and then say so; where the kernel does not take them, say nothing."""
        with self._lock:
            live = self._speaking()
            words: dict[str, list[Word]] = defaultdict(list)
            for key, one in self._candidates.items():
                for target in self._told[key] if one.active and one.others else ():
                    words[target].append(one.word(active=True))
            try:
                if live or self._live:
                    fence.renew(live)
                self._live = live
            except (OSError, nft.RulesRefused) as error:
                LOG.error("the leases of routers could not be renewed: %s", error)
                return
            self._send(words)

    def _speaking(self) -> set[str]:
        """The plugs of the shared routers that forward here."""
        shared = (key for key, one in self._candidates.items() if one.active and one.others)
        return {plug for key in shared for plug in self._plugs[key]}

    def _send(self, words: dict[str, list[Word]]) -> None:
        for target, listed in words.items():
            for at in range(0, len(listed), _WORDS):
                beat = msgspec.msgpack.encode(Beat(self._epoch, listed[at : at + _WORDS]))
                with contextlib.suppress(OSError):  # the next beat will do
                    if self._wire is not None:
                        self._wire.sendto(beat, (target, self._port))

    def _leave(self, left: Iterable[Candidate], told: dict[str, set[str]]) -> None:
        """Say of these that they forward here no longer; the fence is closed first."""
        ended = [one for one in left if one.active and one.others]
        if not ended:
            return
        with self._lock:
            for one in ended:
                one.active = False
            with contextlib.suppress(OSError, nft.RulesRefused):
                self._home.visit(lambda: fence.renew(self._speaking()))
            words: dict[str, list[Word]] = defaultdict(list)
            for one in ended:
                for target in told.get(one.router, ()):
                    words[target].append(one.word(active=False))
            self._send(words)

    # In the thread that sees to what follows.

    def _turn(self, routers: set[str]) -> None:
        if routers:
            with self._lock:
                self._turns |= routers
            self._turning.set()

    def _serve_turns(self) -> None:
        while True:
            self._turning.wait()
            self._turning.clear()
            if self._closed:
                return
            with self._lock:
                routers, self._turns = self._turns, set()
            try:
                self._turned(routers)
            except Exception:
                LOG.exception("what follows from routers' changing hosts could not be done")


def _others(router: RouterState) -> list[str]:
    return router.ha.others if router.ha is not None else []


def _places(state: HostState, router_id: str) -> set[str]:
    """The tunnels' addresses of a router's hosts."""
    legs = [remote for remote in state.remotes if remote.router == router_id]
    return {place for leg in legs for place in (leg.endpoint, *leg.standbys)}


def _plugs(router: RouterState) -> set[str]:
    gateways = [way.leg for way in router.gateways]
    return {names.router_plug(leg.port_id) for leg in (*router.legs, *gateways)}


def _audience(state: HostState, router: RouterState) -> set[str]:
    """The tunnels' addresses of those who send to the router, or would take over."""
    gateways = [way.leg for way in router.gateways]
    networks = {leg.network_id for leg in (*router.legs, *gateways)}
    return set(_others(router)) | {remote.endpoint for remote in state.remotes if remote.network_id in networks}
