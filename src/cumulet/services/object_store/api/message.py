# SPDX-License-Identifier: Apache-2.0
"""Requests and their answers, as filters and handlers see them.

Headers are named in lower case, and each character of a value stands for a byte, as in a query's values.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from copy import copy
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from cumulet.kernel.errors import Precondition
from cumulet.services.object_store.logic.access import Caller
from cumulet.services.object_store.types import stamps

TRUE = frozenset(("true", "1", "yes", "on", "t", "y"))

Headers = dict[str, str]
NOTHING: Mapping[str, Any] = MappingProxyType({})


class Gone(ConnectionError):
    """The client went away before its body had come."""


class NotText(Precondition, UnicodeError):
    """A path of which no names can be made."""


class Body:
    """What a request sends: pieces, to be read once. `size` is in bytes, None where its end is yet to come."""

    __slots__ = ("_pieces", "size")

    def __init__(self, pieces: AsyncIterator[bytes], size: int | None) -> None:
        self._pieces, self.size = pieces, size

    @classmethod
    def of(cls, data: bytes) -> Body:
        async def pieces() -> AsyncIterator[bytes]:
            if data:
                yield data

        return cls(pieces(), len(data))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._pieces

    async def read(self, most: int) -> bytes | None:
        """All of it; None where that is more than `most` bytes."""
        parts, size = [], 0
        async for piece in self._pieces:
            size += len(piece)
            if size > most:
                return None
            parts.append(piece)
        return b"".join(parts)


class Request:
    """`path` is as on the wire without percent signs, each character a byte, `raw_path` with them; `acl` is what the
    container says on this method; `owner` is whether the caller may see what is for the account's owner; `stamp` is
    when it counts as made.

    `authorize`, where there is one, tells by Unauthorized or Forbidden that the caller may not do this.
    `reserved` is whether names that the store made for itself may be named. `etags` are the headers of the object in
    which an ETag stands that conditions mean, the first of them that there is; an object with a header of `whole` is
    sent whole, whatever part is asked for. `log` is what the access log tells more.
    """

    __slots__ = (
        "_named",
        "_query",
        "_split",
        "acl",
        "authorize",
        "body",
        "caller",
        "client",
        "etags",
        "extra",
        "headers",
        "id",
        "log",
        "method",
        "owner",
        "path",
        "query_string",
        "raw_path",
        "reseller",
        "reserved",
        "scheme",
        "source",
        "stamp",
        "whole",
    )  # fmt: skip

    def __init__(self, method: str, path: str, headers: Headers, body: Body, query_string: str = "") -> None:
        self.method, self.path, self.headers, self.body = method, path, headers, body
        self.query_string, self.raw_path = query_string, ""
        self.id = self.client = ""
        self.scheme = "http"
        self.caller: Caller | None = None
        self.authorize: Authorize | None = None
        self.acl: str | None = None
        self.owner = self.reseller = self.reserved = False
        self.stamp = 0
        self.etags: tuple[str, ...] = ()
        self.whole: tuple[str, ...] = ()
        self.source = ""
        self.extra: dict[str, Any] = {}
        self.log: list[str] = []
        self._query: dict[str, str] | None = None
        self._split: tuple[str, list[str]] | None = None
        self._named: tuple[str, tuple[str, str, str]] | None = None

    @property
    def query(self) -> dict[str, str]:
        """The last value of each parameter."""
        if self._query is None:
            pairs = parse_qsl(self.query_string, keep_blank_values=True, encoding="latin-1")
            self._query = dict(pairs) if self.query_string else {}
        return self._query

    def ask(self, query_string: str) -> None:
        """Have this query in place of the one there was."""
        self.query_string, self._query = query_string, None

    @property
    def parts(self) -> list[str]:
        """Version, account, container and object of the path; as many as there are, the last holds slashes."""
        if self._split is None or self._split[0] != self.path:
            self._split = (self.path, self.path.split("/", 4)[1:])
        return self._split[1]

    @property
    def names(self) -> tuple[str, str, str]:
        """Account, container and object as text, "" for those that the path has not; NotText for what is none."""
        if self._named is None or self._named[0] != self.path:
            try:
                account, container, name, *_ = [*(text(each) for each in self.parts[1:]), "", "", ""]
            except UnicodeError:
                raise NotText("Invalid UTF8 or contains NULL") from None
            self._named = (self.path, (account, container, name))
        return self._named[1]

    def now(self) -> int:
        """The stamp of what this request does."""
        if not self.stamp:
            self.stamp = stamps.now()
        return self.stamp

    def moved(self, path: str) -> Request:
        """The same request for another path."""
        made = copy(self)
        made.path, made.acl = path, None
        return made

    def is_true(self, header: str) -> bool:
        return self.headers.get(header, "").lower() in TRUE

    def sub(
        self,
        method: str,
        path: str | None = None,
        *,
        headers: Headers | None = None,
        body: Body | None = None,
        query: str = "",
        source: str = "",
    ) -> Request:
        """Another request of the same caller, with its right and its id; `source` names who makes it in logs."""
        made = Request(method, self.path if path is None else path, headers or {}, body or Body.of(b""), query)
        made.id, made.client, made.scheme = self.id, self.client, self.scheme
        made.caller, made.authorize, made.owner, made.reseller = self.caller, self.authorize, self.owner, self.reseller
        made.source = source or self.source
        if "referer" in self.headers:  # by which some lists of who may read go
            made.headers.setdefault("referer", self.headers["referer"])
        return made


Authorize = Callable[[Request], Awaitable[None]]


class Stretch(NamedTuple):
    """The bytes of an answer as a piece of an open file: `length` from `offset` on.

    Where the file does not give them all, `rest` has those behind so many, piece by piece.
    """

    fd: int
    offset: int
    length: int
    rest: Callable[[int], AsyncIterator[bytes]]


class Response:
    """`body` is all of it, else `pieces` are `length` bytes (None: not known before); `stretch`, if there is one, is
    where the same bytes lie.

    Whoever gets one closes it: `ending` runs then, also where no piece was asked for.
    """

    __slots__ = ("body", "ending", "headers", "length", "pieces", "status", "stretch")

    def __init__(
        self,
        status: int,
        headers: Headers | None = None,
        body: bytes = b"",
        *,
        pieces: AsyncGenerator[bytes, None] | None = None,
        length: int | None = None,
        ending: Callable[[], Awaitable[object]] | None = None,
        stretch: Stretch | None = None,
    ) -> None:
        self.status, self.headers = status, {} if headers is None else headers
        self.body, self.pieces, self.length, self.ending = body, pieces, length, ending
        self.stretch = stretch

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    async def close(self) -> None:
        ending, self.ending = self.ending, None
        try:
            if self.pieces is not None:
                await self.pieces.aclose()
        finally:
            if ending is not None:
                await ending()

    async def read(self) -> bytes:
        """All of the body, which has to be small."""
        if self.pieces is None:
            return self.body
        try:
            return b"".join([piece async for piece in self.pieces])
        finally:
            await self.close()


Go = Callable[[Request], Awaitable[Response]]


class Filter(Protocol):
    """`info` is what `/info` tells of it, by the name that Swift has for it."""

    @property
    def info(self) -> Mapping[str, Any]: ...

    async def __call__(self, request: Request, go: Go) -> Response:
        """Answer, or have `go` answer it."""


def wire(text: str) -> str:
    """Text as the bytes of its UTF-8."""
    return text.encode().decode("latin-1")


def text(words: str) -> str:
    """Bytes as the text they are in UTF-8; UnicodeError for what is none."""
    return words.encode("latin-1").decode()


def unquoted(words: str) -> str:
    """Without percent signs, each character a byte."""
    return unquote_to_bytes(words.encode("latin-1")).decode("latin-1")


def quoted(words: str, safe: str = "/") -> str:
    """Bytes with percent signs where a path needs them."""
    return quote(words.encode("latin-1"), safe=safe)


def path_of(account: str, container: str = "", name: str = "", version: str = "v1") -> str:
    """The path of what has these names (text)."""
    return "/" + "/".join(wire(each) for each in (version, account, container, name) if each)
