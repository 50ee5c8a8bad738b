# SPDX-License-Identifier: Apache-2.0
"""Requests to other servers: other clusters, a key manager.

Each has a connection of its own; no redirection is followed and no proxy is asked, so that nothing is spoken to but
what the caller names.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools

from cumulet.kernel.errors import CumuletError

_PORTS = {"http": 80, "https": 443}
_READ = 1 << 16


class NoAnswer(CumuletError):
    """Nothing that is an answer came, or more of it than is wanted."""

    status = 503


class WebAnswer(NamedTuple):
    """Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Web:
    """`connect`: seconds until a connection stands. `patience`: seconds for each piece that is sent or comes.

    `most` bytes are the longest answer. Certificates are judged by the authorities of the file `authorities`, or of
    the machine where there is none.
    """

    def __init__(
        self, *, connect: float = 5.0, patience: float = 60.0, most: int = 1 << 20, authorities: str | None = None
    ) -> None:
        self._connect, self._patience, self._most = connect, patience, most
        self._authorities = authorities
        self._trust: ssl.SSLContext | None = None

    async def ask(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: AsyncIterator[bytes] | bytes = b"",
        *,
        size: int | None = None,
    ) -> WebAnswer:
        """`body` has `size` bytes where it is an iterator. NoAnswer where none came; its words hold no secret.

        ValueError for an address or a header that cannot be sent. Errors of `body` are raised.
        """
        place = urlsplit(url)
        host, port = place.hostname or "", place.port or _PORTS[place.scheme]
        length = len(body) if isinstance(body, bytes) else size
        head = _head(method, place.path or "/", place.query, _host(host, place.port), headers, length)
        try:
            async with asyncio.timeout(self._connect):
                trust = await self._trusted() if place.scheme == "https" else None
                reader, writer = await asyncio.open_connection(host, port, ssl=trust)
        except (OSError, TimeoutError) as error:
            raise NoAnswer(f"{host}:{port} cannot be reached: {_words(error)}.") from error
        answer = _Answer(method, self._most)
        try:
            await self._send(reader, writer, head, body, answer)
            async with asyncio.timeout(self._patience):
                while not answer.whole:
                    answer.feed(await reader.read(_READ))
        except (OSError, EOFError, TimeoutError, httptools.HttpParserError) as error:
            raise NoAnswer(f"{host}:{port} gave no answer: {_words(error)}.") from error
        finally:
            writer.close()
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()
        return WebAnswer(answer.status, answer.headers, b"".join(answer.pieces))

    async def _send(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        head: bytes,
        body: AsyncIterator[bytes] | bytes,
        answer: _Answer,
    ) -> None:
        """A server that answers before it has all of the body is not sent the rest."""
        writer.write(head)
        if isinstance(body, bytes):
            writer.write(body)
            await self._drained(writer)
            return
        early = asyncio.ensure_future(reader.read(_READ))
        try:
            async for piece in body:
                if early.done():
                    break
                writer.write(piece)
                try:
                    await self._drained(writer)
                except ConnectionError:
                    break  # it may have said why
            async with asyncio.timeout(self._patience):
                answer.feed(await early)
        finally:
            early.cancel()
            await asyncio.gather(early, return_exceptions=True)

    async def _drained(self, writer: asyncio.StreamWriter) -> None:
        async with asyncio.timeout(self._patience):
            await writer.drain()

    async def _trusted(self) -> ssl.SSLContext:
        if self._trust is None:  # it reads a few hundred certificates
            self._trust = await asyncio.to_thread(ssl.create_default_context, cafile=self._authorities)
        return self._trust


class _Answer:
    def __init__(self, method: str, most: int) -> None:
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        self.whole = False
        self.status = 0
        self._bare, self._room = method == "HEAD", most
        self._parser = httptools.HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        if not data:
            if self.status and not self.headers.keys() & {"content-length", "transfer-encoding"}:
                self.whole = True  # it goes on to the end of the connection
                return
            raise EOFError("the connection ended")
        with contextlib.suppress(httptools.HttpParserError) if self.whole else contextlib.nullcontext():
            self._parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self.headers.clear()
            return
        self.status = status
        if self._bare or status in (204, 304):
            self.whole = True

    def on_body(self, data: bytes) -> None:
        self._room -= len(data)
        if self._room < 0:
            raise EOFError("the answer is too long")
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        if self.status:
            self.whole = True


def _head(method: str, path: str, query: str, host: str, headers: Mapping[str, str], length: int | None) -> bytes:
    said = {"host": host, "connection": "close", "user-agent": "cumulet", **headers}
    if length is not None and (length or method in ("PUT", "POST")):
        said["content-length"] = str(length)
    target = f"{path}?{query}" if query else path
    if not target.isascii() or not target.isprintable() or " " in target:
        raise ValueError("a path has to be quoted")
    lines = [f"{method} {target} HTTP/1.1"]
    for name, value in said.items():
        if any(each in f"{name}{value}" for each in "\r\n\0"):
            raise ValueError(f"the header {name!r} cannot be sent")
        lines.append(f"{name}: {value}")
    return "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1")


def _host(host: str, port: int | None) -> str:
    host = f"[{host}]" if ":" in host else host
    return f"{host}:{port}" if port else host


def _words(error: BaseException) -> str:
    return str(error) or ("it takes too long" if isinstance(error, TimeoutError) else type(error).__name__)
