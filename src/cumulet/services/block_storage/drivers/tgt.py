# SPDX-License-Identifier: Apache-2.0
"""Conversations with a `tgtd` over its control socket, in the words of `tgtadm`.

That program would show the secrets of accounts in its arguments to whoever lists processes, so the daemon is spoken
with directly: a header of 120 bytes and `name=value` words, answered by a number and a text.
"""

from __future__ import annotations

import os
import re
import socket
import struct
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

from cumulet.kernel.errors import NotReady

CONTROL = 1  # the daemon's control port: each has a folder of its own for its socket
SOCKET = "control"
ENVIRONMENT = {"TGT_IPC_SOCKET": SOCKET}
TIMEOUT = 10.0  # seconds
_HEADER = struct.Struct("<II64sIiQQIIIIII")
_ANSWER = struct.Struct("<II")
_NO_LUN = 2**64 - 1


class Op(IntEnum):
    """What to do."""

    NEW, DELETE, SHOW, BIND, UNBIND, UPDATE = range(6)


class Mode(IntEnum):
    """To what."""

    TARGET, LUN, CONNECTION, ACCOUNT = 1, 2, 6, 7


class TgtError(Exception):
    """The daemon refused; the number is its own."""


@dataclass
class Target:
    """A target as the daemon shows it; `connections` are (session, connection, name of the initiator)."""

    number: int
    name: str
    path: str = ""
    accounts: set[str] = field(default_factory=set)
    initiators: set[str] = field(default_factory=set)
    sessions: set[str] = field(default_factory=set)
    connections: list[tuple[int, int, str]] = field(default_factory=list)


class Tgt:
    """The daemon that was started in `folder` with `ENVIRONMENT`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(
        self, op: Op, mode: Mode, words: str = "", *, number: int = -1, lun: int = _NO_LUN, session: int = 0,
        connection: int = 0, force: bool = False,
    ) -> str:  # fmt: skip
        """Raises TgtError where it refuses, NotReady where it does not answer."""
        text = words.encode() + b"\0" if words else b""
        length = _HEADER.size + len(text)
        head = _HEADER.pack(
            mode, op, b"iscsi", length, number, session, lun, connection, 0, 0, 0, 0, int(force)
        )  # fmt: skip
        try:
            with self._connect() as peer:
                peer.sendall(head + text)
                error, size = _ANSWER.unpack(_read(peer, _ANSWER.size))
                answer = _read(peer, size - _ANSWER.size)
        except (OSError, struct.error) as failure:
            raise NotReady("The daemon of the iSCSI targets does not answer.") from failure
        if error:
            raise TgtError(error)
        return answer.decode(errors="replace").rstrip("\0")

    def targets(self) -> dict[str, Target]:
        """All targets, by name."""
        return {each.name: each for each in parse(self.ask(Op.SHOW, Mode.TARGET))}

    def _connect(self) -> socket.socket:
        # The path may be longer than a socket's address can be.
        folder = os.open(self._folder, os.O_PATH | os.O_DIRECTORY)
        try:
            peer = socket.socket(socket.AF_UNIX)
            try:
                peer.settimeout(TIMEOUT)
                peer.connect(f"/proc/self/fd/{folder}/{SOCKET}.{CONTROL}")
            except BaseException:
                peer.close()
                raise
            return peer
        finally:
            os.close(folder)


def parse(text: str) -> list[Target]:
    """What the daemon shows of its targets."""
    found: list[Target] = []
    room, session, initiator = "", 0, ""
    for line in text.splitlines():
        words = line.strip()
        if match := re.fullmatch(r"Target (\d+): (\S+)", line):
            found.append(Target(int(match[1]), match[2]))
        elif re.fullmatch(r"    \S.* information:\s*", line):
            room = words
        elif not found or not words:
            continue
        elif room.startswith("I_T nexus"):
            if match := re.match(r"I_T nexus: (\d+)", words):
                session = int(match[1])
            elif match := re.match(r"Initiator: (\S+)", words):
                initiator = match[1]
                found[-1].sessions.add(initiator)
            elif match := re.match(r"Connection: (\d+)", words):
                found[-1].connections.append((session, int(match[1]), initiator))
        elif room.startswith("LUN") and words.startswith("Backing store path: /"):
            found[-1].path = words.partition(": ")[2]
        elif room.startswith("Account"):
            found[-1].accounts.add(words.split()[0])
        elif room.startswith("ACL"):
            found[-1].initiators.add(words)
    return found


def _read(peer: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = peer.recv(size - len(data))
        if not piece:
            raise ConnectionResetError("the answer was cut short")
        data += piece
    return data
