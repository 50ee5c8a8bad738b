# SPDX-License-Identifier: Apache-2.0
"""Whether routers' next hops are there: a BFD session (RFC 5880, 5881) with each, of all routers in one thread.

A session has two sockets in its router's namespace, one that hears and one that speaks, both bound to the gateway's
device and address. A next hop is silent while its session is not up, but for one whose route stands already where the
session begins (the agent was started again, the router came from another host, or is watched from now on): that one is
believed for BELIEF seconds.
"""

from __future__ import annotations

import ipaddress
import logging
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from cumulet.services.network.drivers.fabric import bfd
from cumulet.services.network.drivers.fabric.ears import Ears
from cumulet.services.network.drivers.fabric.errands import Errands
from cumulet.services.network.drivers.fabric.routing import Hop as Road
from cumulet.services.network.drivers.fabric.watched import Hop, Watched

LOG = logging.getLogger(__name__)

BELIEF = 10.0
_LONGEST = 60.0  # seconds without a look at a session
_IP_RECVTTL = 12
_NETWORK_CONTROL = 0xC0  # the DSCP of what routers tell each other (CS6)
_TRIES = 16  # of source ports
_MOST = 256  # bytes that are read of a packet


@dataclass
class _Watch:
    """`believed`: until when it is not silent, whatever the session says; `silent` is what was told last."""

    session: bfd.Session
    index: int
    hears: socket.socket
    speaks: socket.socket
    believed: float
    silent: bool


class Liveness:
    """All sessions of the host. `changed` is called, on a thread of its own, with the ids of the routers concerned."""

    def __init__(self, changed: Callable[[set[str]], None]) -> None:
        self._errands = Errands("next hops", changed)
        self._lock = threading.Lock()
        self._ears = Ears("next hops heard")
        self._watches: dict[Watched, _Watch] = {}
        self._deaf: set[Watched] = set()  # there was no socket to be had for these

    def keep(self, routers: Collection[str]) -> None:
        """End the sessions of all other routers."""
        self._end([one for one in self._of() if one.router not in routers])
        self._deaf = {one for one in self._deaf if one.router in routers}

    def end(self, router: str) -> None:
        """End the router's sessions, whose sockets are of a namespace that is gone."""
        self._end(list(self._of(router)))

    def settle(self, router: str, wanted: Collection[Watched], standing: Callable[[], Collection[Road]]) -> None:
        """Have sessions with these next hops of the router, and no others. Called in its namespace.

        `standing` reads which next hops have a route. One for which no socket can be had is silent.
        """
        known = self._of(router)
        kept = {one for one, watch in known.items() if one in wanted and _index(one.device) == watch.index}
        self._end([one for one in known if one not in kept])
        begun = [one for one in wanted if one not in kept]
        present = standing() if begun else ()
        deaf = {one for one in self._deaf if one.router != router}
        for one in begun:
            try:
                self._begin(one, is_believed=one.hop in present)
            except OSError as error:
                LOG.error("router %s cannot speak BFD with its next hop %s: %s", router, one.hop.address, error)
                deaf.add(one)
        self._deaf = deaf

    def silent(self, router: str) -> set[Hop]:
        """The router's next hops that are watched and not heard."""
        return {hop for hop, is_heard in self._heard(router).items() if not is_heard}

    def heard(self, router: str) -> dict[str, bool]:
        """The router's next hops that are watched, and whether they are heard, or believed to be there."""
        return {hop.address: is_heard for hop, is_heard in self._heard(router).items()}

    def _heard(self, router: str) -> dict[Hop, bool]:
        deaf = {one.hop: False for one in self._deaf if one.router == router}
        return {one.hop: not watch.silent for one, watch in self._of(router).items()} | deaf

    def close(self) -> None:
        """End all sessions; what routes stand, stay.

        What follows from a change is over before: without sessions it would take every next hop for heard.
        """
        self._errands.close()
        self._end(list(self._of()))
        self._ears.close()

    def _of(self, router: str | None = None) -> Mapping[Watched, _Watch]:
        with self._lock:
            return {one: watch for one, watch in self._watches.items() if router in (None, one.router)}

    def _begin(self, one: Watched, *, is_believed: bool) -> None:
        hears, speaks = _sockets(one)
        now = time.monotonic()
        with self._lock:
            taken = {watch.session.own for watch in self._watches.values()}
            session = bfd.Session(_discriminator(taken), now)
            believed = now + BELIEF if is_believed else now
            watch = _Watch(session, _index(one.device), hears, speaks, believed, not is_believed)
            self._watches[one] = watch
        self._ears.hear((one, "errors"), speaks, _drain)
        self._ears.hear(one, hears, partial(self._take, one))
        self._ears.remind(one, 0, partial(self._turn, one))

    def _end(self, ended: Iterable[Watched]) -> None:
        """Tell the other end that it is by will: it has no reason to think that the way to here is broken."""
        for one in ended:
            with self._lock:
                watch = self._watches.pop(one, None)
                last = watch.session.end() if watch is not None else None
            if watch is not None and last is not None:
                _send(watch.speaks, last)
                self._ears.forget(one)
                self._ears.forget((one, "errors"))

    # In the thread that hears.

    def _take(self, one: Watched, sock: socket.socket) -> None:
        packet = _read(sock, one.hop.address)
        if packet is not None:
            self._act(one, lambda session, now: session.hear(packet, now))

    def _turn(self, one: Watched) -> None:
        self._act(one, bfd.Session.turn)

    def _act(self, one: Watched, act: Callable[[bfd.Session, float], bfd.Control | None]) -> None:
        with self._lock:
            watch = self._watches.get(one)
            if watch is None:
                return
            now = time.monotonic()
            said = act(watch.session, now)
            is_up = watch.session.state is bfd.State.UP
            if is_up:
                watch.believed = now  # from here on the session is all that counts
            silent = not is_up and watch.believed <= now
            is_news, watch.silent = silent != watch.silent, silent
            due = min(watch.session.due, watch.believed if watch.believed > now else now + _LONGEST)
        self._ears.remind(one, min(max(0.0, due - now), _LONGEST), partial(self._turn, one))
        if said is not None:
            _send(watch.speaks, said)
        if is_news:
            LOG.log(
                logging.WARNING if silent else logging.INFO,
                "router %s %s its next hop %s by BFD",
                one.router,
                "does not hear" if silent else "hears",
                one.hop.address,
            )
            self._errands.add([one.router])


def _sockets(one: Watched) -> tuple[socket.socket, socket.socket]:
    """The one that hears, and the one that speaks; in the router's namespace."""
    hears = _socket(one, [bfd.PORT])
    try:
        first = secrets.randbelow(len(bfd.SOURCES))
        speaks = _socket(one, [bfd.SOURCES[(first + step) % len(bfd.SOURCES)] for step in range(_TRIES)])
    except OSError:
        hears.close()
        raise
    try:
        speaks.connect(_at(one.hop.address, bfd.PORT, one.device))
    except OSError:
        hears.close()
        speaks.close()
        raise
    return hears, speaks


def _socket(one: Watched, ports: Iterable[int]) -> socket.socket:
    """Bound to the first of the ports that is free; what it sends can go one hop far at most, and says so."""
    version6 = ":" in one.own
    sock = socket.socket(socket.AF_INET6 if version6 else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, one.device.encode() + b"\0")
        if version6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, bfd.TTL)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _NETWORK_CONTROL)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, bfd.TTL)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _NETWORK_CONTROL)
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
        _bind(sock, one, list(ports))
    except OSError:
        sock.close()
        raise
    return sock


def _bind(sock: socket.socket, one: Watched, ports: list[int]) -> None:
    for port in ports[:-1]:
        try:
            sock.bind(_at(one.own, port, one.device))
        except OSError:
            continue  # somebody has it; the last one says what is wrong, where it is something else
        return
    sock.bind(_at(one.own, ports[-1], one.device))


def _at(address: str, port: int, device: str) -> tuple[str, int] | tuple[str, int, int, int]:
    if ":" not in address:
        return address, port
    return address, port, 0, _index(device) if ipaddress.ip_address(address).is_link_local else 0


def _read(sock: socket.socket, sender: str) -> bfd.Control | None:
    """A packet that came from the other end, and from no farther than one hop (RFC 5881 5)."""
    data, about, _, origin = sock.recvmsg(_MOST, socket.CMSG_SPACE(4))
    hops = [
        struct.unpack("i", value)[0]
        for level, kind, value in about
        if (level, kind) in ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT))
    ]
    if hops != [bfd.TTL] or ipaddress.ip_address(origin[0].split("%")[0]) != ipaddress.ip_address(sender):
        return None
    return bfd.decode(data)


def _send(sock: socket.socket, packet: bfd.Control) -> None:
    try:
        sock.send(bfd.encode(packet))
    except OSError as error:  # the next one will do; where none does, the other end says that it hears nothing
        LOG.debug("a BFD packet could not be sent: %s", error)


def _drain(sock: socket.socket) -> None:
    """What comes to a socket that only speaks: word that nobody listens there."""
    sock.recv(_MOST)


def _index(device: str) -> int:
    return socket.if_nametoindex(device)


def _discriminator(taken: Collection[int]) -> int:
    """RFC 5880 6.8.1: not 0, unique here, better at random."""
    while (own := secrets.randbelow(1 << 32)) == 0 or own in taken:
        pass
    return own
