# SPDX-License-Identifier: Apache-2.0
"""`Blobs` in an account of an object store that speaks Swift's API: the first segment of a name is the container's."""

from __future__ import annotations

import hashlib
import http.client
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from cumulet.kernel.blob import StorageFull, check, home_of
from cumulet.kernel.errors import Conflict, NotFound, NotReady

PAGE = 1000  # names of one listing
SILENCE = 60.0  # seconds that the store may be silent
HELLO = 10.0  # seconds to reach it
_MOST = 256  # bytes of a container's name; Swift's limit
_FULL = (413, 507)  # the account's quota, the store's disks
# What another try may mend: a token that has ended, an upload that was overtaken or spoilt, too much at once.
_LATER = (401, 408, 409, 422, 429, 498, 499)
_NOTHING: Mapping[str, str] = MappingProxyType({})


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Where an account is (`https://host/v1/AUTH_...`), and a token that is good for it for some time."""

    url: str
    token: str

    def __repr__(self) -> str:
        return f"Account({self.url!r})"


class Answer(NamedTuple):
    """What the store says: a status, headers with names in lower case, and the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Row(msgspec.Struct):
    """An object of a list: its name, and when it was written (ISO 8601, UTC, no zone). A `subdir` has no more."""

    name: str = ""
    last_modified: str = ""
    subdir: str = ""


_ROWS = msgspec.json.Decoder(list[Row])


class SwiftClient:
    """Asks for what is below the account that `account` tells; `ca_file` holds authorities trusted beside the system's.

    Usable from any thread; connections are kept for the next request.
    """

    def __init__(self, account: Callable[[], Account], ca_file: Path | None = None) -> None:
        self._account, self._ca_file = account, ca_file
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []

    def ask(
        self,
        method: str,
        path: str,
        content: bytes = b"",
        headers: Mapping[str, str] = _NOTHING,
        but: tuple[int, ...] = (),
    ) -> Answer | None:
        """What the store answers; None for a status in `but`. A request may be sent twice.

        Raises NotFound, StorageFull, NotReady for what another try may mend, Conflict for all other refusals.
        """
        answer = self._send(method, path, content, headers)
        if answer.status in but:
            return None
        if answer.status == 404:
            raise NotFound("The object store has no such object.")
        if answer.status in _FULL:
            raise StorageFull("The object store has no room, or the account's quota is used up.")
        if 200 <= answer.status < 300:
            return answer
        refusal = f"The object store refuses to {method}: {answer.status}."
        raise NotReady(refusal) if answer.status in _LATER or answer.status >= 500 else Conflict(refusal)

    def rows(self, container: str, **said: str) -> Iterator[Row]:
        """All that a container (quoted) lists, page by page; nothing where there is none. `said` narrows the list."""
        marker = ""
        while True:
            words = urlencode({"format": "json", "limit": PAGE, "marker": marker, **said})
            # The newest list that any replica has: what is made of it must not lack what was acknowledged.
            page = self.ask("GET", f"{container}?{words}", headers={"X-Newest": "true"}, but=(404,))
            try:
                rows = _ROWS.decode(page.body or b"[]") if page is not None else []
            except msgspec.MsgspecError as error:
                raise NotReady("The object store lists what cannot be understood.") from error
            if not rows:
                return
            yield from rows
            marker = rows[-1].name or rows[-1].subdir

    def close(self) -> None:
        """Let go of the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for each in idle:
            each.close()

    def _send(self, method: str, path: str, content: bytes, headers: Mapping[str, str]) -> Answer:
        account = self._account()
        target = f"{urlsplit(account.url).path.rstrip('/')}/{path}"
        words = {**headers, "X-Auth-Token": account.token}
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        while True:
            connection = kept
            try:
                if connection is None:
                    connection = self._connect(account.url)
                connection.request(method, target, body=content if method in ("PUT", "POST") else None, headers=words)
                answer = connection.getresponse()
                said = Answer(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())
            except (OSError, http.client.HTTPException) as error:
                if connection is not None:
                    connection.close()
                if kept is None:
                    raise NotReady(f"The object store does not answer: {type(error).__name__}.") from error
                kept = None  # the store may have closed a connection that was idle
                continue
            if answer.will_close:
                connection.close()
            else:
                with self._lock:
                    self._idle.append(connection)
            return said

    def _connect(self, url: str) -> http.client.HTTPConnection:
        base = urlsplit(url)
        made: http.client.HTTPConnection
        if base.scheme == "https":
            trusted = ssl.create_default_context()
            if self._ca_file is not None:
                trusted.load_verify_locations(self._ca_file)
            made = http.client.HTTPSConnection(base.hostname or "", base.port, timeout=HELLO, context=trusted)
        else:
            made = http.client.HTTPConnection(base.hostname or "", base.port, timeout=HELLO)
        made.connect()
        made.sock.settimeout(SILENCE)
        return made


def etag_of(content: bytes) -> str:
    """The sum by which the store sees whether all came as it was sent."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


class SwiftBlobs:
    """`Blobs` of one account. Containers are made when something is put there, with the storage policy `policy`."""

    def __init__(self, client: SwiftClient, policy: str = "") -> None:
        self._client, self._policy = client, policy
        self._named: dict[str, str] = {}

    def home(self, container: str) -> str:
        found = home_of(container)
        if container and "/" not in container and len(container.encode()) <= _MOST:
            self._named[found] = container
        return found

    def put(self, name: str, content: bytes) -> None:
        path = self._path(name)
        sums = {"ETag": etag_of(content)}
        if self._client.ask("PUT", path, content, sums, but=(404,)) is None:
            policy = {"X-Storage-Policy": self._policy} if self._policy else {}
            # 409: somebody was quicker, with another policy.
            self._client.ask("PUT", path.split("/")[0], headers=policy, but=(409,))
            self._client.ask("PUT", path, content, sums)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        if length is not None and length <= 0:
            return b""
        words = {}
        if offset or length is not None:
            words["Range"] = f"bytes={offset}-{'' if length is None else offset + length - 1}"
        found = self._client.ask("GET", self._path(name), headers=words, but=(416,))
        return b"" if found is None else found.body

    def names(self, below: str) -> Iterator[str]:
        home, _, rest = check(below).partition("/")
        for row in self._client.rows(self._container(home), prefix=f"{rest}/" if rest else ""):
            yield f"{home}/{row.name}"

    def delete(self, name: str) -> None:
        self._client.ask("DELETE", self._path(name), but=(404,))

    def delete_all(self, below: str) -> None:
        for name in list(self.names(below)):
            home, _, rest = name.partition("/")
            self._client.ask("DELETE", f"{self._container(home)}/{quote(rest)}", but=(404,))

    def tidy(self, below: str) -> None:
        """Nothing: what was not put whole is not kept."""

    def _path(self, name: str) -> str:
        home, _, rest = check(name).partition("/")
        if not rest:
            raise ValueError(f"not a name in a store of containers: {name!r}")
        return f"{self._container(home)}/{rest}"

    def _container(self, home: str) -> str:
        return quote(self._named.get(home, home), safe="")
