# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 as clients of Swift speak it, some of them not as it is written."""

from __future__ import annotations

import re
from functools import partial
from typing import Any, cast
from urllib.parse import quote_from_bytes

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from cumulet.kernel.http.gathering import Gathering, GatheringProtocol
from cumulet.services.object_store.api.message import Gone
from cumulet.services.object_store.api.receiving import Receiving
from cumulet.services.object_store.api.sending import Sending
from cumulet.services.object_store.drivers.base import PIECE

SEND_FILE = "cumulet.send_file"  # in a scope's extensions: `await it(fd, offset, length)` sends a piece of a body
RECEIVE = "cumulet.receive"  # as well: `await it()` is a piece of a large body, b"" where `receive` has what is next
LARGE = 1 << 18  # bytes that are still to come: with fewer, a second way of reading costs more than it spares

_SAFE = "".join(map(chr, range(0x7F)))
_METHODS = frozenset((b"GET", b"HEAD", b"PUT", b"POST", b"DELETE", b"OPTIONS", b"COPY"))
_METHOD = re.compile(rb"[A-Za-z_]{1,32}")
_IN_ITS_PLACE = b"PATCH"  # a method that the parser takes


class ObjectProtocol(GatheringProtocol):
    """Methods may be such as the parser does not know, and paths have bytes that should have been written with percent
    signs: the application refuses or takes them. A request that is wrong only behind its end is answered before."""

    _at_first_line = True
    _method = b""
    _is_in_body = False
    _received = 0  # bytes of the body
    _left = 0  # bytes of the body that the parser does not see
    _is_lost = False
    _sending: Sending | None = None
    _receiving: Receiving | None = None

    def data_received(self, data: bytes) -> None:
        if self._left:
            data = self._take_body(data)
            if not data:
                return
        if self._at_first_line:
            end = data.find(b"\n")
            line = data if end < 0 else data[:end]
            self._at_first_line = end < 0
            wanted = line if line.isascii() else quote_from_bytes(line, _SAFE).encode()
            method, space, rest = wanted.partition(b" ")
            if space and method not in _METHODS and _METHOD.fullmatch(method):
                self._method, wanted = method, _IN_ITS_PLACE + space + rest
            if wanted is not line:
                data = wanted + data[len(line) :]
        super().data_received(data)
        if self._is_in_body:
            self._left = self._length() - self._received

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._is_in_body, self._received = True, 0
        scope = cast(dict[str, Any], self.scope)
        if self._method:
            scope["method"], self._method = self._method.decode(), b""
        if self.scheme == "http":  # else what is sent has to be encrypted
            scope["extensions"] = {
                SEND_FILE: partial(self._send_file, self.cycle),
                RECEIVE: partial(self._receive, self.cycle),
            }

    def on_body(self, body: bytes) -> None:
        """What comes first is kept as it is: the one piece that a large body has here mostly is not copied again."""
        self._received += len(body)
        cycle = cast(Any, self.cycle)
        if cycle.response_complete:
            return
        cycle.body = cycle.body + body if cycle.body else body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._at_first_line, self._is_in_body = True, False

    def _length(self) -> int:
        """Of the body; what came of it where its end shows itself."""
        length = self._received
        for name, value in self.headers:
            if name == b"transfer-encoding":
                return self._received
            if name == b"content-length":
                length = int(value)
        return length

    def _take_body(self, data: bytes) -> bytes:
        """Bytes of a body whose length is known go past the parser, which would copy them; what is left behind it."""
        left = self._left
        body, rest = (data, b"") if len(data) <= left else (data[:left], data[left:])
        self._left -= len(body)
        self.on_body(body)
        if not self._left:
            self._end_body()
        return rest

    def _end_body(self) -> None:
        self.parser = httptools.HttpRequestParser(self)  # it waits for what it has not seen
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.on_message_complete()

    async def _receive(self, cycle: RequestResponseCycle) -> bytes:
        """A piece of the body of `cycle` out of the socket, for which the transport does not read until `receive` is
        asked, or the answer is complete. b"" where there is something to `receive`, or not much left. Gone."""
        if self._left < LARGE or self._is_lost or cycle is not self.cycle:
            return b""
        if cycle.body or cycle.waiting_for_100_continue:
            return b""
        self.flow.pause_reading()
        receiving = Receiving(cast(Gathering, self.transport).get_extra_info("socket").fileno())
        self._receiving = receiving
        try:
            data = await receiving.piece(min(PIECE, self._left))
        except Gone:
            self.flow.resume_reading()  # the transport sees the end
            raise
        finally:
            self._receiving = None
            receiving.close()
        self._left -= len(data)
        self._received += len(data)
        if not self._left:
            self._end_body()
        return data

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        if self._sending is not None:
            self._sending.stop()
        if self._receiving is not None:
            self._receiving.stop()
        super().connection_lost(exc)

    async def _send_file(self, cycle: RequestResponseCycle, file: int, offset: int, length: int) -> int:
        """As `Sending.send`, behind what was written before. The answer to `cycle` has a length, and room for it."""
        transport = cast(Gathering, self.transport)
        if not self._is_lost and transport.get_write_buffer_size():
            transport.set_write_buffer_limits(0)
            await self.flow.drain()
            if not self._is_lost:
                transport.set_write_buffer_limits()
        if self._is_lost or transport.is_closing():
            raise Gone("the client went away")
        sending = Sending(transport.get_extra_info("socket").fileno(), file, transport.take())
        self._sending = sending
        try:
            sent = await sending.send(offset, length)
        finally:
            self._sending = None
            sending.close()
        cycle.expected_content_length -= sent
        return sent

    def send_400_response(self, msg: str) -> None:
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False
            return
        super().send_400_response(msg)
