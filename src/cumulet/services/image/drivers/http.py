# SPDX-License-Identifier: Apache-2.0
"""Image bytes that web servers have: read where they are, under their address, and never changed.

What is asked of a server that knows no ranges (RFC 9110) is read from its beginning. Redirects are followed as Glance
does: 301 and 302, a few of them, each of which must be allowed like the first address.

LIMITATIONS: no credentials, in addresses or beside them; a server must say how long its answers are.
"""

from __future__ import annotations

import http.client
from contextlib import ExitStack
from urllib.parse import urljoin, urlsplit

from cumulet.kernel.errors import Invalid, NotFound, NotReady
from cumulet.services.image.drivers import web
from cumulet.services.image.drivers.base import Capabilities
from cumulet.services.image.drivers.streams import Body, Nothing, Streams

MOST_REDIRECTS = 5
LONGEST_URL = 2048  # characters
_SCHEMES = ("http", "https")
_REDIRECTS = frozenset({301, 302})
_SKIPPED = 1 << 20  # bytes that are read at once and thrown away


class HttpStore:
    """`ReadableStore` of all addresses that pass the filter; `timeout` in seconds of silence."""

    def __init__(self, filter_: web.Filter, timeout: float = 60.0) -> None:
        self._filter = filter_
        self._timeout = timeout
        self._streams = Streams(self._begin)

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(sparse=False, durable=True, local=False, anywhere=False)

    def size(self, key: str) -> int:
        answer = self._ask(key, "HEAD", {})
        answer.close()
        said = answer.headers.get("content-length", "")
        if not (said.isascii() and said.isdigit()):
            raise NotReady("The server does not say how long its answer is.")
        return int(said)

    def read(self, key: str, offset: int, length: int) -> bytes:
        return self._streams.read(key, offset, length)

    def url(self, key: str) -> str:
        return key

    def key_of(self, url: str) -> str | None:
        """An address of the web, without a password in it; whether it is allowed is seen when it is asked."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return None
        plain = parts.scheme in _SCHEMES and parts.netloc and "@" not in parts.netloc
        return url if plain and len(url) <= LONGEST_URL else None

    def _begin(self, key: str, offset: int) -> Body:
        answer = self._ask(key, "GET", {"Range": f"bytes={offset}-"} if offset else {})
        if answer.status == http.client.REQUESTED_RANGE_NOT_SATISFIABLE:
            answer.close()
            return Nothing()
        if answer.status != http.client.PARTIAL_CONTENT:
            while offset > 0 and (piece := answer.read(min(offset, _SKIPPED))):
                offset -= len(piece)
        elif not answer.headers.get("content-range", "").startswith(f"bytes {offset}-"):
            answer.close()
            raise NotReady("The server answers with another range than it was asked for.")
        return answer

    def _ask(self, url: str, method: str, headers: dict[str, str]) -> _Answer:
        for _ in range(MOST_REDIRECTS + 1):
            answer = self._ask_once(url, method, headers)
            if answer.status not in _REDIRECTS:
                break
            answer.close()
            url = urljoin(url, answer.headers.get("location", ""))
        if answer.status in (200, 206, 416):
            return answer
        answer.close()
        if answer.status in (404, 410):
            raise NotFound("The server has nothing at this address.")
        raise NotReady(f"The server answers with status {answer.status}.")

    def _ask_once(self, url: str, method: str, headers: dict[str, str]) -> _Answer:
        closing = ExitStack()
        try:
            addresses = self._filter.addresses(url)
            return _Answer(closing.enter_context(web.ask(url, addresses, headers, self._timeout, method)), closing)
        except Invalid as error:
            closing.close()
            raise NotReady(error.message) from error


class _Answer:
    """The body of an answer; its connection ends with it."""

    def __init__(self, response: http.client.HTTPResponse, closing: ExitStack) -> None:
        self._response = response
        self._closing = closing
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}

    def read(self, length: int) -> bytes:
        try:
            return self._response.read(length)
        except (OSError, http.client.HTTPException) as error:
            raise NotReady(f"The server's answer broke off: {type(error).__name__}.") from error

    def close(self) -> None:
        self._closing.close()
