# SPDX-License-Identifier: Apache-2.0
"""The consoles of servers that are records: VNC with a small picture, and a serial port that echoes."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

from cumulet.services.compute.types import Display

WIDTH, HEIGHT = 64, 48  # pixels of the picture
_VERSION = b"RFB 003.008\n"
_NONE = 1  # the security type without a password (RFC 6143, 7.2.1)
# 32 bits a pixel, 24 of them colour, little endian, true colour; 8 bits for each of red, green and blue.
_PIXELS = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
_COLOUR = struct.pack("<I", 0x2F6FAB)
# Bytes that follow the type of each message of a client; those of a variable length say theirs in their head.
_SET_ENCODINGS, _UPDATE, _CUT = 2, 3, 6
_REST = {0: 19, _SET_ENCODINGS: 3, _UPDATE: 9, 4: 7, 5: 5, _CUT: 7}


def open_display(server_id: str, display: Display, text: str) -> socket.socket:
    """A stream to a console; `text` is what the serial port has said so far."""
    ours, theirs = socket.socketpair()
    words = server_id if display == "vnc" else text
    threading.Thread(target=_serve, args=(ours, display, words), name="fake-console", daemon=True).start()
    return theirs


def _serve(stream: socket.socket, display: Display, words: str) -> None:
    with stream, contextlib.suppress(OSError, EOFError):
        if display == "vnc":
            _vnc(stream, words)
        else:
            _serial(stream, words)


def _serial(stream: socket.socket, text: str) -> None:
    stream.sendall(text.replace("\n", "\r\n").encode())
    while data := stream.recv(4096):
        stream.sendall(data)


def _vnc(stream: socket.socket, title: str) -> None:
    """RFB 3.8 (RFC 6143) without a password, of one picture in one colour."""
    stream.sendall(_VERSION)
    _take(stream, len(_VERSION))
    stream.sendall(bytes([1, _NONE]))
    if _take(stream, 1)[0] != _NONE:
        return
    stream.sendall(bytes(4))
    _take(stream, 1)  # whether it shares the desktop
    name = title.encode()
    stream.sendall(struct.pack(">HH", WIDTH, HEIGHT) + _PIXELS + struct.pack(">I", len(name)) + name)
    shown = False
    while True:
        kind = _take(stream, 1)[0]
        if kind not in _REST:
            return
        rest = _take(stream, _REST[kind])
        if kind == _SET_ENCODINGS:
            _take(stream, 4 * struct.unpack(">xH", rest)[0])
        elif kind == _CUT:
            _take(stream, struct.unpack(">3xI", rest)[0])
        elif kind == _UPDATE and not (shown and rest[0]):
            # Nothing ever changes: who asks for changes alone waits after the first picture.
            stream.sendall(struct.pack(">BxHHHHHi", 0, 1, 0, 0, WIDTH, HEIGHT, 0) + _COLOUR * (WIDTH * HEIGHT))
            shown = True


def _take(stream: socket.socket, size: int) -> bytes:
    """Exactly so many bytes; EOFError where the client has left."""
    data = b""
    while len(data) < size:
        more = stream.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data
