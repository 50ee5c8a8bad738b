# SPDX-License-Identifier: Apache-2.0
"""How a control plane is reached: by the socket of one's own machine, or over TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from cumulet.kernel.link.frames import FrameError
from cumulet.kernel.link.names import CONTROL_NAME, READ_LIMIT
from cumulet.kernel.link.peer import SILENCE

DIAL = 5.0  # seconds that a connection and its handshake may take
DEFAULT_PORT = 8702

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Way(Protocol):
    """One way to a control plane; `silence` is after how many seconds without a word it counts as lost."""

    @property
    def name(self) -> str:
        """What a person calls it."""

    @property
    def silence(self) -> float: ...

    async def open(self) -> Stream:
        """A new stream. Raises OSError, FrameError, in words for a person."""


class UnixWay:
    """The socket at `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.silence = SILENCE

    @property
    def name(self) -> str:
        return f"unix:{self._path}"

    async def open(self) -> Stream:
        return await asyncio.open_unix_connection(self._path, limit=READ_LIMIT)


class TlsWay:
    """The replica at `host` and `port`, which must show that it is one; `context()` is asked at each dial."""

    def __init__(
        self,
        host: str,
        port: int,
        context: Callable[[], ssl.SSLContext],
        *,
        silence: float,
        server_name: str | None = CONTROL_NAME,
    ) -> None:
        self._host = host
        self._port = port
        self._context = context
        self._server_name = server_name
        self.silence = silence

    @property
    def name(self) -> str:
        return address(self._host, self._port)

    async def open(self) -> Stream:
        try:
            async with asyncio.timeout(DIAL):
                reader, writer = await asyncio.open_connection(
                    self._host,
                    self._port,
                    ssl=self._context(),
                    server_hostname=self._server_name or "",
                    limit=READ_LIMIT,
                )
        except TimeoutError:
            raise FrameError(f"{self.name} did not answer within {DIAL:g} s") from None
        except ssl.SSLCertVerificationError as error:
            raise FrameError(f"{self.name} is not a replica of this cloud: {error.verify_message}") from None
        except (ssl.SSLError, ConnectionError) as error:
            raise FrameError(f"{self.name}: {error}") from None
        settle(writer.get_extra_info("socket"), self.silence)
        return reader, writer


def settle(connection: socket.socket, silence: float) -> None:
    """Have the system give up a connection as soon as we would: what was sent and is not taken ends it."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, int(silence * 1000)))


def address(host: str, port: int) -> str:
    """`https://HOST:PORT`, with brackets around an IPv6 address."""
    return f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"


def parse(url: str) -> tuple[str, int]:
    """Host and port of `https://HOST:PORT` or `HOST:PORT`. Raises ValueError."""
    parts = urlsplit(url if "://" in url else f"https://{url}")
    if parts.scheme != "https" or not parts.hostname or parts.path not in ("", "/") or parts.query or parts.username:
        raise ValueError(f"{url} is not of the form https://HOST:PORT")
    return parts.hostname, parts.port or DEFAULT_PORT
