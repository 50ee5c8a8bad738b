# SPDX-License-Identifier: Apache-2.0
"""Image bytes in a container of the cloud's own object store: written in segments as they come, read by ranges.

What fits into one segment is one object, called as its key. Of anything larger the segments are
`segments/<draft>/<number>`, and the key is a static large object of them (of parts of them, where there are many).
`drafts/<draft>` is there as long as they are a draft's: it is empty, then names the key that they are published as.

LIMITATIONS: a draft is written in order by the process that began it, and lives as long as that process; its last
segment, which is not full yet, is in memory.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial

import msgspec

from cumulet.kernel.blob.swift import Answer, SwiftClient, etag_of
from cumulet.kernel.errors import NotFound
from cumulet.services.image.drivers.base import Capabilities, check_name, is_name
from cumulet.services.image.drivers.drafts import Draft, Drafts, out_of_order

DRAFTS, SEGMENTS = "drafts/", "segments/"
PIECE = 4 << 20  # bytes best read at once
MOST = 1000  # segments of one manifest; Swift's usual limit


class _Segment(msgspec.Struct, omit_defaults=True):
    """A line of a manifest, as Swift takes it."""

    path: str
    size_bytes: int
    etag: str | None = None
    range: str | None = None


class _Listed(msgspec.Struct):
    """A line of a manifest, as Swift tells it."""

    name: str


_LISTED = msgspec.json.Decoder(list[_Listed])


class _Draft(Draft):
    def __init__(self) -> None:
        super().__init__()
        self.segments: list[_Segment] = []


class SwiftStore:
    """`ByteStore` in `container`, with segments of `part_size` bytes; the container is made with the `policy`."""

    def __init__(self, client: SwiftClient, container: str, policy: str = "", *, part_size: int = 16 << 20) -> None:
        self._client, self._container, self._policy = client, container, policy
        self._part_size = part_size
        self._address = f"swift+config://own/{container}/"
        self._drafts: Drafts[_Draft] = Drafts()

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(sparse=False, durable=True, local=False, anywhere=False, piece=PIECE)

    def begin(self, draft: str, key: str) -> None:
        check_name(key)
        self._drafts.begin(draft, _Draft())

    def write(self, draft: str, offset: int, data: bytes) -> None:
        found = self._drafts.to_write(draft, offset, _Draft)
        with found.lock:
            if offset != found.written:
                raise out_of_order(draft, found)
            found.add(data)
            found.send_parts(lambda: self._part_size, partial(self._send, draft, found))

    def read_draft(self, draft: str, offset: int, length: int) -> bytes:
        found = self._drafts.get(draft)
        with found.lock:
            read, sent = bytearray(), len(found.segments) * self._part_size
            while length > len(read) and offset + len(read) < sent:
                number, start = divmod(offset + len(read), self._part_size)
                read += self._read(_place(draft, number), start, min(length - len(read), self._part_size - start))
            start = offset + len(read) - sent
            return bytes(read + found.waiting[start : start + length - len(read)])

    def drafts(self) -> dict[str, float]:
        ages = self._drafts.ages()
        for name, when in self._objects(DRAFTS):
            if name not in ages:
                parts = [age for _, age in self._objects(f"{SEGMENTS}{name}/")]
                ages[name] = min([when, *parts])
        return ages

    def publish(self, draft: str, key: str, size: int) -> None:
        check_name(key)
        found = self._drafts.find(draft)
        if found is None:
            if self._size(key) != size:
                raise NotFound(f"There is no draft {draft}.")
            return
        with found.lock:
            older = self._drafts_of(key)
            for each in older:
                self._put(DRAFTS + each, key.encode())  # so that its segments are found, whatever dies here
            if not found.segments and size <= self._part_size:
                self._put(key, bytes(found.waiting[:size]).ljust(size, b"\0"))
            else:
                found.pad(size, self._part_size, partial(self._send, draft, found))
                found.send_rest(partial(self._send, draft, found))
                self._put(DRAFTS + draft, key.encode())
                for number in range(max(1, -(-size // self._part_size)), len(found.segments)):
                    self._delete(_place(draft, number))
                self._join(draft, key, _cut(found.segments, size))
            for each in older - {draft}:
                self._remove(f"{SEGMENTS}{each}/")
                self._delete(DRAFTS + each)
            if found.segments:
                self._delete(DRAFTS + draft)
        self._drafts.forget(draft)

    def discard(self, draft: str) -> None:
        found = self._drafts.forget(draft)
        if found is not None and not found.segments:
            return
        try:
            key = self._ask("GET", DRAFTS + draft).body.decode()
        except NotFound:
            return
        # Whoever published it may have died just before he could say so.
        if not key or draft not in self._drafts_of(key):
            self._remove(f"{SEGMENTS}{draft}/")
        self._delete(DRAFTS + draft)

    def size(self, key: str) -> int:
        found = self._size(key)
        if found is None:
            raise NotFound(f"There are no bytes of {key}.")
        return found

    def read(self, key: str, offset: int, length: int) -> bytes:
        return self._read(check_name(key), offset, length)

    def url(self, key: str) -> str:
        return self._address + key

    def key_of(self, url: str) -> str | None:
        name = url.removeprefix(self._address)
        return name if name != url and is_name(name) else None

    def delete(self, key: str) -> None:
        # The manifest last: as long as it is there, whoever is told again knows what belongs to it.
        for each in self._drafts_of(check_name(key)):
            self._remove(f"{SEGMENTS}{each}/")
        self._delete(key)

    def published(self) -> dict[str, float]:
        return dict(self._objects(""))

    # -- inside ------------------------------------------------------------------------------------------------------

    def _send(self, draft: str, found: _Draft, content: bytes) -> None:
        place = _place(draft, len(found.segments))
        if not found.segments:
            self._put(DRAFTS + draft, b"")
        self._put(place, content)
        found.segments.append(_Segment(f"/{self._container}/{place}", len(content), etag_of(content)))

    def _join(self, draft: str, key: str, segments: list[_Segment]) -> None:
        """Make `key` of the segments."""
        if len(segments) > MOST:
            parts = []
            for number, start in enumerate(range(0, len(segments), MOST)):
                place, some = f"{SEGMENTS}{draft}/m{number:08d}", segments[start : start + MOST]
                self._manifest(place, some)
                parts.append(_Segment(f"/{self._container}/{place}", sum(map(_length, some))))
            segments = parts
        self._manifest(key, segments)

    def _manifest(self, name: str, segments: list[_Segment]) -> None:
        self._ask("PUT", f"{name}?multipart-manifest=put", msgspec.json.encode(segments))

    def _drafts_of(self, key: str) -> set[str]:
        """The drafts whose segments `key` is made of; none for a plain object, or where there is none."""
        try:
            if "x-static-large-object" not in self._ask("HEAD", key).headers:
                return set()
            listed = _LISTED.decode(self._ask("GET", f"{key}?multipart-manifest=get").body)
        except NotFound:
            return set()
        start = f"/{self._container}/{SEGMENTS}"
        return {each.name.removeprefix(start).partition("/")[0] for each in listed if each.name.startswith(start)}

    def _size(self, key: str) -> int | None:
        try:
            return int(self._ask("HEAD", check_name(key)).headers["content-length"])
        except NotFound:
            return None

    def _read(self, name: str, offset: int, length: int) -> bytes:
        if length <= 0:
            return b""
        path, span = f"{self._container}/{name}", {"Range": f"bytes={offset}-{offset + length - 1}"}
        found = self._client.ask("GET", path, headers=span, but=(416,))
        return b"" if found is None else found.body

    def _objects(self, below: str) -> Iterator[tuple[str, float]]:
        """The objects right below a place, and the seconds since each was written."""
        for row in self._client.rows(self._container, prefix=below, delimiter="/"):
            if row.name:
                when = datetime.fromisoformat(row.last_modified).replace(tzinfo=UTC)
                yield row.name.removeprefix(below), max(0.0, time.time() - when.timestamp())

    def _put(self, name: str, content: bytes) -> None:
        path, sums = f"{self._container}/{name}", {"ETag": etag_of(content)}
        if self._client.ask("PUT", path, content, sums, but=(404,)) is None:
            policy = {"X-Storage-Policy": self._policy} if self._policy else {}
            self._client.ask("PUT", self._container, headers=policy, but=(409,))
            self._client.ask("PUT", path, content, sums)

    def _ask(self, method: str, name: str, content: bytes = b"") -> Answer:
        answer = self._client.ask(method, f"{self._container}/{name}", content)
        assert answer is not None
        return answer

    def _delete(self, name: str) -> None:
        self._client.ask("DELETE", f"{self._container}/{name}", but=(404,))

    def _remove(self, below: str) -> None:
        for name, _ in list(self._objects(below)):
            self._delete(below + name)


def _place(draft: str, number: int) -> str:
    return f"{SEGMENTS}{draft}/{number:08d}"


def _cut(segments: list[_Segment], size: int) -> list[_Segment]:
    """The first `size` bytes of the segments."""
    found, left = [], size
    for each in segments:
        if left <= 0:
            break
        span = None if left >= each.size_bytes else f"0-{left - 1}"
        found.append(msgspec.structs.replace(each, range=span))
        left -= each.size_bytes
    return found


def _length(segment: _Segment) -> int:
    return segment.size_bytes if segment.range is None else int(segment.range.partition("-")[2]) + 1
