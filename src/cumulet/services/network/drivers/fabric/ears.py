# SPDX-License-Identifier: Apache-2.0
"""A thread that hears on sockets of many namespaces, and keeps appointments: for DHCP, router advertisements, BFD."""

from __future__ import annotations

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Hashable
from functools import partial

LOG = logging.getLogger(__name__)

Take = Callable[[socket.socket], None]


class Ears:
    """Sockets and appointments by key. What is called may take no longer than it takes to send an answer.

    A socket keeps the namespace in which it was made, so the thread needs to be in none of them.
    """

    def __init__(self, name: str = "ears") -> None:
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[Hashable, socket.socket] = {}
        self._due: dict[Hashable, tuple[float, Callable[[], None]]] = {}
        self._lock = threading.Lock()
        self._wake, self._waker = socket.socketpair()
        self._waker.setblocking(False)
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._serve, name=name, daemon=True)
        self._thread.start()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._sockets

    def keys(self) -> list[Hashable]:
        with self._lock:
            return list(self._sockets)

    def hear(self, key: Hashable, sock: socket.socket, take: Take) -> None:
        """Call `take` whenever there is something to read; the socket is the thread's own from now on."""
        sock.setblocking(False)
        with self._lock:
            self._sockets[key] = sock
            self._selector.register(sock, selectors.EVENT_READ, take)

    def remind(self, key: Hashable, seconds: float, work: Callable[[], None]) -> None:
        """Call `work` once in so many seconds, in place of what was to be called for the key.

        Nothing happens where the key has no socket (any more).
        """
        with self._lock:
            if key not in self._sockets:
                return
            self._due[key] = (time.monotonic() + seconds, work)
        with contextlib.suppress(OSError):  # BlockingIOError: it is about to wake up anyway
            self._waker.send(b"x")

    def forget(self, key: Hashable) -> None:
        """Close the key's socket and drop its appointment; nothing happens where there is none."""
        with self._lock:
            self._due.pop(key, None)
            sock = self._sockets.pop(key, None)
            if sock is not None:
                self._selector.unregister(sock)
                sock.close()

    def close(self) -> None:
        for key in self.keys():
            self.forget(key)
        self._waker.close()
        self._thread.join(2)
        self._selector.close()
        self._wake.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select(self._patience()):
                if key.data is not None:
                    _do(partial(key.data, key.fileobj))
                elif not self._wake.recv(64):
                    return
            for work in self._now():
                _do(work)

    def _patience(self) -> float | None:
        with self._lock:
            first = min((when for when, _ in self._due.values()), default=None)
        return None if first is None else max(0.0, first - time.monotonic())

    def _now(self) -> list[Callable[[], None]]:
        now = time.monotonic()
        with self._lock:
            keys = [key for key, (when, _) in self._due.items() if when <= now]
            return [self._due.pop(key)[1] for key in keys]


def _do(work: Callable[[], None]) -> None:
    """What one sends must not make all others go without answers."""
    try:
        work()
    except OSError:
        return  # the network went away, or the guest will ask again
    except Exception:
        LOG.exception("a message could not be answered")
