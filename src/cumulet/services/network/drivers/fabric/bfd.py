# SPDX-License-Identifier: Apache-2.0
"""Bidirectional Forwarding Detection (RFC 5880): its packets, and one end of a session as a state machine.

Nothing here knows of sockets or the time of day: `now` is in seconds, from any start. Intervals in packets are
microseconds, as on the wire. Asynchronous mode alone, in the active role.

LIMITATIONS: no authentication (packets that have any are discarded, as RFC 5880 6.8.6 has it), no echo, no demand mode
of our own; that of the other end is honoured.
"""

from __future__ import annotations

import enum
import math
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

PORT = 3784  # RFC 5881, one hop
SOURCES = range(49152, 65536)
TTL = 255  # of every packet, sent and taken (RFC 5881 5): nobody farther than one hop away can send such a one

_VERSION = 1
_LENGTH, _LEAST_WITH_KEY = 24, 26
_POLL, _FINAL, _KEY, _DEMAND, _MULTIPOINT = 0x20, 0x10, 0x04, 0x02, 0x01
_FORM = struct.Struct("!BBBBIIIII")
_SLOW = 1_000_000  # microseconds between packets of a session that is not up, at least (RFC 5880 6.8.3)
_MICRO = 1e-6


class State(enum.IntEnum):
    """As on the wire."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3


class Reason(enum.IntEnum):
    """Diagnostic codes that are said here."""

    NONE = 0
    UNHEARD = 1  # the detection time has run out
    NEIGHBOUR = 3  # the other end said that it is down
    ENDED = 7  # by the administrator


class Control(msgspec.Struct, kw_only=True, frozen=True):
    """A control packet. `own` and `yours` are its sender's and its receiver's discriminators.

    `min_tx` is how often its sender would send, `min_rx` how often it takes packets (0: never).
    """

    state: State
    own: int
    yours: int = 0
    multiplier: int
    min_tx: int
    min_rx: int
    min_echo_rx: int = 0
    diagnostic: int = 0
    poll: bool = False
    final: bool = False
    demand: bool = False


def encode(packet: Control) -> bytes:
    """The packet as it is sent."""
    flags = (_POLL if packet.poll else 0) | (_FINAL if packet.final else 0) | (_DEMAND if packet.demand else 0)
    return _FORM.pack(
        _VERSION << 5 | packet.diagnostic,
        packet.state << 6 | flags,
        packet.multiplier,
        _LENGTH,
        packet.own,
        packet.yours,
        packet.min_tx,
        packet.min_rx,
        packet.min_echo_rx,
    )


def decode(data: bytes) -> Control | None:
    """The packet that was received; None for what is to be discarded whatever its session (RFC 5880 6.8.6)."""
    if len(data) < _LENGTH:
        return None
    first, flags, multiplier, length, own, yours, min_tx, min_rx, echo = _FORM.unpack_from(data)
    if first >> 5 != _VERSION or not (_LEAST_WITH_KEY if flags & _KEY else _LENGTH) <= length <= len(data):
        return None
    state = State(flags >> 6)
    if multiplier == 0 or own == 0 or flags & (_MULTIPOINT | _KEY):
        return None
    if yours == 0 and state not in (State.DOWN, State.ADMIN_DOWN):
        return None
    return Control(
        state=state,
        own=own,
        yours=yours,
        multiplier=multiplier,
        min_tx=min_tx,
        min_rx=min_rx,
        min_echo_rx=echo,
        diagnostic=first & 0x1F,
        poll=bool(flags & _POLL),
        final=bool(flags & _FINAL),
        demand=bool(flags & _DEMAND),
    )


class Pace(msgspec.Struct, kw_only=True, frozen=True):
    """What an end asks for, in microseconds; by default what OVN does."""

    min_tx: int = 1_000_000
    min_rx: int = 1_000_000
    multiplier: int = 5


@dataclass
class Peer:
    """What the other end said last (bfd.Remote...; RFC 5880 6.8.1)."""

    own: int = 0
    state: State = State.DOWN
    min_rx: int = 1
    min_tx: int = 0
    multiplier: int = 0
    demand: bool = False


@dataclass
class Session:
    """One end, from `since` on. `own` is its discriminator: not 0, and no other session's; `chance` is from 0 to 1.

    Whoever drives it hands it what is received (`hear`), and calls `turn` when `due` has come.
    """

    own: int
    since: float
    pace: Pace = field(default_factory=Pace)
    chance: Callable[[], float] = random.random
    state: State = State.DOWN
    reason: Reason = Reason.NONE
    peer: Peer = field(default_factory=Peer)
    _polling: bool = False
    _planned: float = 0.0  # the interval that the time of the next packet was reckoned with
    _deadline: float = math.inf

    def __post_init__(self) -> None:
        self._sent = self._send = self.since

    @property
    def due(self) -> float:
        """When `turn` is to be called next; infinity where nothing is to be done."""
        return min(self._send, self._deadline)

    def hear(self, packet: Control, now: float) -> Control | None:
        """Take a packet in, one that came from the other end's address; the answer, where it wants one at once."""
        if packet.yours not in (0, self.own):
            return None
        said = Peer(packet.own, packet.state, packet.min_rx, packet.min_tx, packet.multiplier, packet.demand)
        self.peer = said
        if self._polling and packet.final:
            self._polling = False
        if self.state is State.ADMIN_DOWN:
            return None
        self._deadline = now + self._patience()
        self._follow(packet.state, now)
        self._plan(now)
        return self._packet(final=True) if packet.poll else None

    def turn(self, now: float) -> Control | None:
        """Do what is due; the packet that is to be sent."""
        if now >= self._deadline:
            self._deadline = math.inf
            self.peer = Peer()
            if self.state in (State.INIT, State.UP):
                self._enter(State.DOWN, Reason.UNHEARD, now)
            self._plan(now)
        if now < self._send:
            return None
        self._sent, self._send = now, math.inf
        self._plan(now)
        return self._packet()

    def end(self) -> Control:
        """Take the session down for good; the packet that tells so."""
        self.state, self.reason, self._polling = State.ADMIN_DOWN, Reason.ENDED, False
        self._send = self._deadline = math.inf
        return self._packet()

    def _follow(self, said: State, now: float) -> None:
        """The state machine of RFC 5880 6.2."""
        if said is State.ADMIN_DOWN:
            if self.state is not State.DOWN:
                self._enter(State.DOWN, Reason.NEIGHBOUR, now)
        elif self.state is State.DOWN:
            if said is not State.UP:
                self._enter(State.INIT if said is State.DOWN else State.UP, self.reason, now)
        elif said is State.DOWN:
            if self.state is State.UP:
                self._enter(State.DOWN, Reason.NEIGHBOUR, now)
        elif self.state is State.INIT:
            self._enter(State.UP, Reason.NONE, now)

    def _enter(self, state: State, reason: Reason, now: float) -> None:
        """Say so at once (6.8.7), and ask for confirmation where the pace becomes another (6.8.3)."""
        before = self._wished()
        self.state, self.reason = state, Reason.NONE if state is State.UP else reason
        self._polling = self._polling or self._wished() != before
        self._send = now

    def _plan(self, now: float) -> None:
        """Set the time of the next packet by what both ends want by now."""
        interval = self._interval()
        if not self._speaks():
            self._send = math.inf
        elif self._send == math.inf or (self._send > now and interval != self._planned):
            self._send = max(now, self._sent + self._spread(interval))
        self._planned = interval

    def _speaks(self) -> bool:
        """Whether packets are sent without being asked for (6.8.7)."""
        rests = self.peer.demand and self.state is State.UP and self.peer.state is State.UP and not self._polling
        return self.state is not State.ADMIN_DOWN and self.peer.min_rx != 0 and not rests

    def _wished(self) -> int:
        return self.pace.min_tx if self.state is State.UP else max(self.pace.min_tx, _SLOW)

    def _interval(self) -> float:
        """Seconds between two packets, before they are spread (6.8.2)."""
        return max(self._wished(), self.peer.min_rx) * _MICRO

    def _patience(self) -> float:
        """The detection time in seconds (6.8.4)."""
        return self.peer.multiplier * max(self.pace.min_rx, self.peer.min_tx) * _MICRO

    def _spread(self, seconds: float) -> float:
        """Up to a quarter sooner, at random (6.8.7)."""
        longest = 0.9 if self.pace.multiplier == 1 else 1.0
        return seconds * (0.75 + (longest - 0.75) * self.chance())

    def _packet(self, *, final: bool = False) -> Control:
        return Control(
            state=self.state,
            own=self.own,
            yours=self.peer.own,
            multiplier=self.pace.multiplier,
            min_tx=self._wished(),
            min_rx=self.pace.min_rx,
            diagnostic=self.reason,
            poll=self._polling and not final,
            final=final,
        )
