# SPDX-License-Identifier: Apache-2.0
"""Wake-ups between the processes of one machine, by a datagram to each one's socket in a folder that they share."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from pathlib import Path

from cumulet.kernel import ids
from cumulet.kernel.bus import ANY, Hearer
from cumulet.kernel.bus.gatherer import Gatherer
from cumulet.kernel.bus.memory import Memory
from cumulet.kernel.db.tx import Tx

LOG = logging.getLogger(__name__)

LONGEST = 65_536  # bytes of a datagram
PATIENCE = 1.0  # seconds for which a process may be too busy to take one


class Datagrams:
    """See `kernel.bus.Bus`. `folder` is the processes' own: it is made where it is not, for nobody else."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / ids.new_hex()[:12]
        self._here = Memory()
        self._elsewhere = Gatherer(self._send)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._thread = threading.Thread(target=self._listen_loop, name="bus-listen", daemon=True)
        self._stopped = False

    def tell(self, tx: Tx, topic: str, key: str = ANY) -> None:
        tx.after_commit(lambda: self._told(topic, key))

    def hear(self, topic: str, fn: Hearer) -> None:
        self._here.hear(topic, fn)

    def start(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._socket.bind(str(self._path))
        self._thread.start()
        self._elsewhere.start()
        self._here.wake_all()

    def stop(self) -> None:
        self._elsewhere.stop()
        self._stopped = True
        if self._thread.is_alive():
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last, contextlib.suppress(OSError):
                last.sendto(b"", str(self._path))
            self._thread.join(PATIENCE)
        self._path.unlink(missing_ok=True)
        self._socket.close()

    def _told(self, topic: str, key: str) -> None:
        self._here.wake(topic, key)
        self._elsewhere.say(f"{topic} {key}")

    def _send(self, words: list[str]) -> None:
        pieces = _pieces(words)
        for other in os.scandir(self._folder):
            if other.name != self._path.name:
                self._send_to(other.path, pieces)

    def _send_to(self, path: str, pieces: list[bytes]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            sender.settimeout(PATIENCE)
            try:
                for piece in pieces:
                    sender.sendto(piece, path)
            except ConnectionRefusedError:  # whose it was is dead
                Path(path).unlink(missing_ok=True)
            except OSError as error:
                LOG.info("a process was not woken: %s", error)

    def _listen_loop(self) -> None:
        while True:
            heard = self._socket.recv(LONGEST)
            if self._stopped:
                return
            for line in heard.decode().splitlines():
                topic, _, key = line.partition(" ")
                self._here.wake(topic, key)


def _pieces(words: list[str]) -> list[bytes]:
    """The words, a line each, in as few datagrams as hold them."""
    pieces: list[bytes] = [b""]
    for word in words:
        line = f"{word}\n".encode()
        if len(pieces[-1]) + len(line) > LONGEST:
            pieces.append(b"")
        pieces[-1] += line
    return pieces
