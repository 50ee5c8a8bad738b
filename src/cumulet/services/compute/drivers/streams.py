# SPDX-License-Identifier: Apache-2.0
"""The open streams to servers' consoles: one at a time to a serial port, any number to a display."""

from __future__ import annotations

import contextlib
import socket
import threading

from cumulet.services.compute.types import Display


class Streams:
    """Who has which console open. Streams belong to those who opened them; here they are only ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, list[tuple[Display, socket.socket]]] = {}

    def add(self, server_id: str, display: Display, stream: socket.socket) -> socket.socket:
        """Keep a new one in mind, and return it; one of the serial port ends the one before."""
        with self._lock:
            kept = []
            for kind, other in self._open.pop(server_id, []):
                if kind == display == "serial":
                    _end(other)
                elif other.fileno() != -1:
                    kept.append((kind, other))
            self._open[server_id] = [*kept, (display, stream)]
        return stream

    def end(self, server_id: str) -> None:
        """End all of a server."""
        with self._lock:
            for _, stream in self._open.pop(server_id, []):
                _end(stream)


def _end(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
