# SPDX-License-Identifier: Apache-2.0
"""Answers guests' questions of DNS on the networks' own legs, and asks other servers what the networks do not know.

Guests can be many, and hostile. Each sender has so many questions a second, each network so many that wait for others,
all of them so many together; what is more is dropped, as if it had been lost. Others are asked by the host itself, from
a new port each time, and never at its loopback: what listens there is for the host alone.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from cumulet.services.network.drivers.fabric import dns
from cumulet.services.network.drivers.fabric.ears import Ears

LOG = logging.getLogger(__name__)

_RATE, _BURST = 50.0, 100.0  # questions of one sender: a second, and at once
_SENDERS = 4096  # whose rates are remembered
_WAITING, _WAITING_OF_ONE = 512, 32  # questions that wait for others: of all networks, of one
_PATIENCE, _TRIES = 2.0, 3  # seconds for another server's answer, and how many are asked
_WORKERS, _STREAMS, _STREAM_TIME = 8, 4, 5.0  # questions over TCP: of all at once, of one network, seconds for each
_BACKLOG = 16

Make = Callable[[], dns.Zone]


def usable(servers: Iterable[str]) -> list[str]:
    """Of DNS servers those that may be asked for guests."""
    found = []
    for text in servers:
        try:
            address = ipaddress.ip_address(text.partition("%")[0])
        except ValueError:
            LOG.warning("%s is not the address of a DNS server", text)
            continue
        if not (address.is_loopback or address.is_unspecified or address.is_link_local or address.is_multicast):
            found.append(text)
    return found


class Rates:
    """Who may ask how often: a bucket for each sender, that fills by itself."""

    def __init__(self, rate: float = _RATE, burst: float = _BURST) -> None:
        self._rate = rate
        self._burst = burst
        self._left: dict[Any, tuple[float, float]] = {}

    def allow(self, sender: Any, now: float) -> bool:
        """Whether the sender may ask once more, `now` in seconds."""
        left, then = self._left.get(sender, (self._burst, now))
        left = min(self._burst, left + (now - then) * self._rate)
        if len(self._left) >= _SENDERS and sender not in self._left:
            self._left.clear()
        self._left[sender] = (max(0.0, left - 1), now)
        return left >= 1


class Resolver:
    """Answers on any number of networks, on a thread of its own and, over TCP, on a few more."""

    def __init__(self, servers: Iterable[str]) -> None:
        """`servers` are asked what networks do not know, in this order, as far as guests may have them asked."""
        self._servers = usable(servers)
        self._ears = Ears()
        self._pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="dns")
        self._rates = Rates()
        self._make: dict[str, Make] = {}
        self._zones: dict[str, dns.Zone] = {}
        self._waiting: dict[Any, str] = {}
        self._streams: dict[str, threading.BoundedSemaphore] = {}
        self._lock = threading.Lock()

    def listen(self, network_id: str, addresses: Iterable[str]) -> None:
        """Answer at exactly these addresses of the calling thread's namespace."""
        wanted = {(kind, network_id, text) for text in addresses for kind in ("udp", "tcp")}
        for key in self._keys(network_id) - wanted:
            self._ears.forget(key)
        for key in sorted(wanted - self._keys(network_id)):
            kind, _, text = key
            family = socket.AF_INET6 if ":" in text else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM)
            try:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                sock.bind((text, dns.PORT))
                if kind == "tcp":
                    sock.listen(_BACKLOG)
            except OSError:
                sock.close()
                raise
            self._ears.hear(key, sock, partial(self._take if kind == "udp" else self._accept, network_id))

    def tell(self, network_id: str, make: Make) -> None:
        """Replace what the network knows; `make` is called with the first question that comes."""
        with self._lock:
            self._make[network_id] = make
            self._zones.pop(network_id, None)

    def forget(self, network_id: str) -> None:
        """Stop answering there; nothing happens where nothing listened."""
        for key in self._keys(network_id):
            self._ears.forget(key)
        with self._lock:
            for known in (self._make, self._zones, self._streams):
                known.pop(network_id, None)

    def close(self) -> None:
        self._ears.close()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _keys(self, network_id: str) -> set[Any]:
        heard: list[Any] = self._ears.keys()
        return {key for key in heard if key[1] == network_id}

    def _zone(self, network_id: str) -> dns.Zone | None:
        with self._lock:
            make, known = self._make.get(network_id), self._zones.get(network_id)
        if known is not None or make is None:
            return known
        known = make()
        with self._lock:
            if self._make.get(network_id) is make:
                self._zones[network_id] = known
        return known

    def _take(self, network_id: str, sock: socket.socket) -> None:
        data, sender = sock.recvfrom(dns.LARGEST)
        if not self._rates.allow((network_id, sender[0]), time.monotonic()):
            return
        known, question = self._zone(network_id), dns.read(data)
        if known is None or question is None:
            return
        said = dns.answer(question, known)
        if said is None and not self._servers:
            said = dns.refusal(question, "REFUSED")
        if said is None:
            _Waiting(self, network_id, question, partial(_reply, sock, sender)).ask()
        else:
            sock.sendto(dns.write(said, dns.limit(question)), sender)

    def _accept(self, network_id: str, sock: socket.socket) -> None:
        stream, sender = sock.accept()
        with self._lock:
            slots = self._streams.setdefault(network_id, threading.BoundedSemaphore(_STREAMS))
        if not self._rates.allow((network_id, sender[0]), time.monotonic()) or not slots.acquire(blocking=False):
            stream.close()
            return
        try:
            self._pool.submit(self._serve, network_id, stream, slots)
        except RuntimeError:  # it is shutting down
            slots.release()
            stream.close()

    def _serve(self, network_id: str, stream: socket.socket, slots: threading.BoundedSemaphore) -> None:
        """One question over TCP; who has more comes again (RFC 7766, 6.2.1)."""
        with contextlib.closing(stream), contextlib.suppress(OSError, EOFError):
            try:
                end = time.monotonic() + _STREAM_TIME
                question, known = dns.read(_read(stream, end)), self._zone(network_id)
                if question is not None and known is not None:
                    said = dns.answer(question, known) or self._ask_over_tcp(question, end)
                    stream.sendall(_framed(dns.write(said, 65535)))
            finally:
                slots.release()

    def _ask_over_tcp(self, question: dns.Message, end: float) -> dns.Message:
        asked = question.question[0]
        wire = dns.ask(asked.name, asked.rdtype).to_wire()
        for server in self._servers[:_TRIES]:
            with contextlib.suppress(OSError, EOFError):
                patience = max(0.1, min(_PATIENCE, end - time.monotonic()))
                with socket.create_connection((server, dns.PORT), patience) as stream:
                    stream.sendall(_framed(wire))
                    said = dns.pass_on(question, _read(stream, time.monotonic() + patience, wire[:2]))
                if said is not None:
                    return said
        return dns.refusal(question, "SERVFAIL" if self._servers else "REFUSED")


class _Waiting:
    """A question that another server is asked: one after the other, each for so many seconds."""

    def __init__(
        self, resolver: Resolver, network_id: str, question: dns.Message, reply: Callable[[bytes], None]
    ) -> None:
        self._resolver = resolver
        self._network_id = network_id
        self._question = question
        self._reply = reply
        self._servers = resolver._servers[:_TRIES]
        self._key = ("asked", "", secrets.token_hex(8))

    def ask(self) -> None:
        """Called on the thread of the ears, as is all of it. Raises OSError where no server can be sent anything."""
        waiting = self._resolver._waiting
        if len(waiting) >= _WAITING or sum(one == self._network_id for one in waiting.values()) >= _WAITING_OF_ONE:
            return
        waiting[self._key] = self._network_id
        self._next()

    def _next(self) -> None:
        ears = self._resolver._ears
        ears.forget(self._key)
        if not self._servers:
            self._end(dns.refusal(self._question, "SERVFAIL"))
            return
        server, self._servers = self._servers[0], self._servers[1:]
        asked = self._question.question[0]
        query = dns.ask(asked.name, asked.rdtype)
        sock = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.connect((server, dns.PORT))
            sock.send(query.to_wire())
        except OSError:
            sock.close()
            self._next()
            return
        ears.hear(self._key, sock, partial(self._heard, query.id))
        ears.remind(self._key, _PATIENCE, self._next)

    def _heard(self, number: int, sock: socket.socket) -> None:
        try:
            data = sock.recv(1 << 16)
        except OSError:  # nobody listens there
            self._next()
            return
        said = dns.pass_on(self._question, data) if data[:2] == struct.pack("!H", number) else None
        if said is not None:
            self._resolver._ears.forget(self._key)
            self._end(said)

    def _end(self, said: dns.Message) -> None:
        self._resolver._waiting.pop(self._key, None)
        self._reply(dns.write(said, dns.limit(self._question)))


def _reply(sock: socket.socket, sender: Any, data: bytes) -> None:
    sock.sendto(data, sender)


def _framed(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _read(stream: socket.socket, end: float, number: bytes = b"") -> bytes:
    """A message of a stream, complete before `end`; with `number`, the one that begins so. Raises OSError, EOFError."""
    size = struct.unpack("!H", _exactly(stream, 2, end))[0]
    data = _exactly(stream, size, end)
    if number and data[:2] != number:
        raise EOFError
    return data


def _exactly(stream: socket.socket, count: int, end: float) -> bytes:
    data = b""
    while len(data) < count:
        stream.settimeout(max(0.01, end - time.monotonic()))
        part = stream.recv(count - len(data))
        if not part or time.monotonic() > end:
            raise EOFError
        data += part
    return data
