# SPDX-License-Identifier: Apache-2.0
"""An iSCSI login (RFC 7143) that somebody begins, proves himself in, and ends when he likes."""

from __future__ import annotations

import hashlib
import socket
import struct

from cumulet.services.block_storage.drivers.base import Door

_HEADER = struct.Struct(">BBBBB3s6sHIHHII16x")
_SIZE, _LOGIN = 48, 0x43
SECURITY, OPERATIONAL, FULL = 0, 1, 3


class Login:
    """A connection to the portal at `port`, on the way to the target of `door`."""

    def __init__(self, port: int, door: Door) -> None:
        self._stream = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._door, self._answered = door, 0

    def prove(self) -> None:
        """Go through CHAP, and no further."""
        door = self._door
        self._say(SECURITY, None, InitiatorName=door.initiator, TargetName=door.export, AuthMethod="CHAP")
        asked = self._say(SECURITY, None, CHAP_A="5")[1]
        said = bytes([int(asked["CHAP_I"])]) + door.secret.encode() + bytes.fromhex(asked["CHAP_C"][2:])
        proof = f"0x{hashlib.md5(said).hexdigest()}"
        assert self._say(SECURITY, OPERATIONAL, CHAP_N=door.user, CHAP_R=proof)[0] == 0

    def end(self) -> int:
        """The status of the end: 0 where there is a session now."""
        return self._say(OPERATIONAL, FULL, MaxRecvDataSegmentLength="8192")[0]

    def close(self) -> None:
        self._stream.close()

    def _say(self, stage: int, further: int | None, **keys: str) -> tuple[int, dict[str, str]]:
        data = b"".join(f"{key}={value}\0".encode() for key, value in keys.items())
        flags = stage << 2 | (0 if further is None else 0x80 | further)
        length = len(data).to_bytes(3, "big")
        head = _HEADER.pack(_LOGIN, flags, 0, 0, 0, length, b"\x80\0\0\1\0\0", 0, 1, 0, 0, 1, self._answered)
        self._stream.sendall(head + data + bytes(-len(data) % 4))
        answer = self._read(_SIZE)
        self._answered = struct.unpack_from(">I", answer, 24)[0] + 1
        length_of_answer = int.from_bytes(answer[5:8], "big")
        words = self._read(length_of_answer + -length_of_answer % 4).decode().split("\0")
        status: int = struct.unpack_from(">H", answer, 36)[0]
        return status, dict(word.split("=", 1) for word in words if "=" in word)

    def _read(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            piece = self._stream.recv(size - len(data))
            assert piece, "the portal closed the connection"
            data += piece
        return data
