# SPDX-License-Identifier: Apache-2.0
"""A small client of VNC (RFB 3.8, RFC 6143): the first picture of a display, over whatever carries bytes."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable

from websockets.sync.client import ClientConnection


class Display:
    """A display whose bytes `receive` brings, in pieces of any size, and `send` takes; asked for at once."""

    def __init__(self, receive: Callable[[], bytes], send: Callable[[bytes], object]) -> None:
        self._receive = receive
        self._send = send
        self._rest = b""
        assert self._take(12) == b"RFB 003.008\n"
        send(b"RFB 003.008\n")
        assert 1 in self._take(self._take(1)[0])  # there is one way without a password
        send(b"\1")
        assert self._take(4) == bytes(4)
        send(b"\1")
        self.width, self.height, length = struct.unpack(">HH16xI", self._take(24))
        self.name = self._take(length).decode()

    @classmethod
    def of_socket(cls, stream: socket.socket) -> Display:
        stream.settimeout(60)
        return cls(lambda: stream.recv(65536), stream.sendall)

    @classmethod
    def of_websocket(cls, client: ClientConnection) -> Display:
        def receive() -> bytes:
            part = client.recv(timeout=60)
            assert isinstance(part, bytes)
            return part

        return cls(receive, client.send)

    def picture(self) -> set[int]:
        """The colours of one update of the whole display, as 0xRRGGBB."""
        colours: set[int] = set()
        # 32 bits a pixel, raw.
        self._send(
            struct.pack(">B3x4B3H3B3x", 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0) + struct.pack(">BxHi", 2, 1, 0)
        )
        self._send(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        # One update: the display may have become smaller since it said its size, which is not told to such a client.
        (count,) = struct.unpack(">xxH", self._take(4))
        for _ in range(count):
            width, height, encoding = struct.unpack(">4xHHi", self._take(12))
            assert encoding == 0
            colours.update(struct.unpack(f"<{width * height}I", self._take(4 * width * height)))
        return {colour & 0xFFFFFF for colour in colours}

    def _take(self, size: int) -> bytes:
        while len(self._rest) < size:
            part = self._receive()
            assert part, "the display was closed"
            self._rest += part
        taken, self._rest = self._rest[:size], self._rest[size:]
        return taken
