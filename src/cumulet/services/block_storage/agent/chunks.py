# SPDX-License-Identifier: Apache-2.0
"""How a backup lies in its store: blocks by their content, an index of each part of the volume, and a manifest.

All names begin with `<container>/<name>/`. `data-<part>-<number>` holds blocks one behind the other, packed or not.
`index-<part>` says for each block of a part (a GiB) that is not all zeroes its SHA-256 and where it is: here, or in
one of the backups that this one is built on, whose blocks are not stored again. `manifest` is written last: without it
there is no backup. It lists those backups and the SHA-256 of each index, and its own. So one backup is restored from
its own indexes, whatever it is built on, and every byte that is restored has been verified.

An interrupted write goes on with the part that it was at: the same content gives the same names.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from cumulet.kernel.blob import Blobs, is_segment
from cumulet.kernel.errors import Conflict, Invalid, NotFound, NotReady
from cumulet.services.block_storage.drivers.base import BLOCK, Content
from cumulet.services.block_storage.types.backups import Stored

PART = 1 << 30  # bytes of the volume that one index is of
FORMAT = 1
PIECE = 8 << 20  # bytes of an object that are read at once
MANIFEST, INDEX, DATA = "manifest", "index-", "data-"
DAMAGED = "BackupDamaged"
_ENTRY = struct.Struct("<H32sHIHIIB")  # block, SHA-256, then the fields of a Place
_ZEROES = bytes(BLOCK)
_LEVEL = 1  # of zlib: to be fast is worth more than the last tenth


class Place(NamedTuple):
    """Where a block is: in which source, its data object (part, number), and the bytes there; `packed` 0 or 1."""

    source: int
    part: int
    number: int
    offset: int
    length: int
    packed: int


class Entry(NamedTuple):
    """A block of a part, which counts from 0."""

    block: int
    digest: bytes
    place: Place


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`size` in bytes. `sources` are this backup, then those that it is built on; `parts` the indexes' sums by number.

    `objects` counts what this one has in the store, `stored` their bytes.
    """

    format: int
    volume_id: str
    size: int
    sources: list[Stored]
    parts: dict[int, str]
    objects: int
    stored: int
    about: dict[str, Any]


def base(store: Blobs, stored: Stored) -> str:
    """What all names of a backup begin with. Raises Invalid for one whose name is none."""
    if not is_segment(stored.name):
        raise Invalid(f"{stored.name} is not the name of a backup.")
    return f"{store.home(stored.container)}/{stored.name}"


def parts(size: int) -> int:
    """How many parts a volume of so many bytes has."""
    return -(-size // PART)


def find(store: Blobs, stored: Stored) -> Manifest | None:
    """The manifest of a backup that is whole; None where there is none. Raises Conflict for one that is damaged."""
    try:
        content = store.get(f"{base(store, stored)}/{MANIFEST}")
    except NotFound:
        return None
    digest, _, body = content.partition(b"\n")
    if hashlib.sha256(body).hexdigest().encode() != digest:
        raise _damaged(stored, "its manifest")
    try:
        found = msgspec.json.decode(body, type=Manifest)
    except msgspec.DecodeError as error:
        raise _damaged(stored, "its manifest") from error
    if found.format != FORMAT:
        raise Conflict(f"The backup {stored.name} is of a later release.", code=DAMAGED)
    return found


def get(store: Blobs, stored: Stored) -> Manifest:
    """The manifest of a backup. Raises NotFound where it is not there, or not whole."""
    found = find(store, stored)
    if found is None:
        raise NotFound(f"There is no backup {stored.name} in the store.", code="BackupNotInStore")
    return found


def write_part(
    store: Blobs, stored: Stored, number: int, content: Content, parent: Manifest | None, packs: bool, room: int
) -> None:
    """Store a part: those of its blocks that neither `parent` nor the part itself has already, then its index.

    Objects have up to `room` bytes; `packs` says that blocks are packed.
    """
    known = {} if parent is None else {each.digest: _older(each.place) for each in read_index(store, parent, number)}
    sink = _Sink(store, base(store, stored), number, packs, room)
    entries = []
    for block, data in _blocks(content, number):
        digest = hashlib.sha256(data).digest()
        place = known.get(digest)
        if place is None:
            place = known[digest] = sink.add(data)
        entries.append(_ENTRY.pack(block, digest, *place))
    sink.flush()
    # Also of a part without content: so it is known to be stored, and not forgotten.
    store.put(f"{base(store, stored)}/{INDEX}{number:08x}", b"".join(entries))


def seal(
    store: Blobs, stored: Stored, volume_id: str, size: int, parent: Manifest | None, about: dict[str, Any]
) -> Manifest:
    """Write the manifest of a backup all parts of which are stored: from now on it is there.

    Raises NotReady where the store does not list all of them.
    """
    store.tidy(base(store, stored))
    sums: dict[int, str] = {}
    objects, count = 1, 0
    start = f"{base(store, stored)}/"
    for name in store.names(base(store, stored)):
        objects += 1
        kind = name.removeprefix(start)
        if kind.startswith(INDEX):
            index = store.get(name)
            sums[int(kind.removeprefix(INDEX), 16)] = hashlib.sha256(index).hexdigest()
            own = (each.place for each in _entries(index) if each.place.source == 0)
            count += sum({(each.part, each.number, each.offset): each.length for each in own}.values())
    if len(sums) != parts(size):
        raise NotReady(f"The store lists {len(sums)} of the {parts(size)} indexes of the backup {stored.name}.")
    made = Manifest(
        format=FORMAT,
        volume_id=volume_id,
        size=size,
        sources=[stored, *(parent.sources if parent is not None else ())],
        parts=dict(sorted(sums.items())),
        objects=objects,
        stored=count,
        about=about,
    )
    body = msgspec.json.encode(made)
    store.put(start + MANIFEST, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
    return made


def read_part(store: Blobs, manifest: Manifest, number: int) -> Iterator[tuple[int, bytes]]:
    """The blocks of a part that are not all zeroes, each with its offset in the volume, in order.

    Raises Conflict (BackupDamaged) where one is not what was stored.
    """
    for run in _runs(read_index(store, manifest, number)):
        first, last = run[0].place, run[-1].place
        source = _source(manifest, first)
        name = f"{base(store, source)}/{_data(first.part, first.number)}"
        try:
            content = store.get(name, first.offset, last.offset + last.length - first.offset)
        except NotFound as error:
            raise _damaged(source, f"the object {name}") from error
        for each in run:
            start = each.place.offset - first.offset
            data = _unpack(content[start : start + each.place.length], each.place.packed)
            if hashlib.sha256(data).digest() != each.digest:
                raise _damaged(source, f"the object {name}")
            yield number * PART + each.block * BLOCK, data


def read_index(store: Blobs, manifest: Manifest, number: int) -> list[Entry]:
    """The index of a part; empty for one without content, or behind the end of a parent that was smaller."""
    digest = manifest.parts.get(number)
    if digest is None:
        return []
    stored = manifest.sources[0]
    try:
        index = store.get(f"{base(store, stored)}/{INDEX}{number:08x}")
    except NotFound as error:
        raise _damaged(stored, f"the index {number}") from error
    if hashlib.sha256(index).hexdigest() != digest:
        raise _damaged(stored, f"the index {number}")
    return _entries(index)


def remove(store: Blobs, stored: Stored) -> None:
    """Remove a backup, whole or not; first of all what makes it one."""
    store.delete(f"{base(store, stored)}/{MANIFEST}")
    store.delete_all(base(store, stored))


class _Sink:
    """The data objects of one part of a backup: one of them is in memory."""

    def __init__(self, store: Blobs, start: str, part: int, packs: bool, room: int) -> None:
        self._store = store
        self._start = start
        self._part = part
        self._packs = packs
        self._room = room
        self._number = 0
        self._content = bytearray()

    def add(self, data: bytes) -> Place:
        packed = zlib.compress(data, _LEVEL) if self._packs else data
        is_packed = len(packed) < len(data)
        if not is_packed:
            packed = data
        if len(self._content) + len(packed) > self._room:
            self.flush()
        place = Place(0, self._part, self._number, len(self._content), len(packed), int(is_packed))
        self._content += packed
        return place

    def flush(self) -> None:
        if self._content:
            self._store.put(f"{self._start}/{_data(self._part, self._number)}", bytes(self._content))
            self._number += 1
            self._content.clear()


def _blocks(content: Content, number: int) -> Iterator[tuple[int, bytes]]:
    """The blocks of a part that are not all zeroes, by their number in it."""
    start, end = number * PART, min((number + 1) * PART, content.size)
    done = start
    for offset, length in content.extents(start, end - start):
        first = max(done, offset - offset % BLOCK)
        last = min(end, -(-(offset + length) // BLOCK) * BLOCK)
        for at in range(first, last, BLOCK):
            data = content.read(at, min(BLOCK, end - at))
            if data != _ZEROES[: len(data)]:
                yield (at - start) // BLOCK, data
        done = max(done, last)


def _runs(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Entries whose bytes lie behind one another in one object, up to a piece of them."""
    run: list[Entry] = []
    for each in entries:
        if run:
            first, last = run[0].place, run[-1].place
            follows = each.place[:3] == last[:3] and each.place.offset == last.offset + last.length
            if not follows or each.place.offset + each.place.length - first.offset > PIECE:
                yield run
                run = []
        run.append(each)
    if run:
        yield run


def _entries(index: bytes) -> list[Entry]:
    return [Entry(block, digest, Place(*place)) for block, digest, *place in _ENTRY.iter_unpack(index)]


def _older(place: Place) -> Place:
    """The same place as one sees it who is built on that backup."""
    return place._replace(source=place.source + 1)


def _source(manifest: Manifest, place: Place) -> Stored:
    if place.source >= len(manifest.sources):
        raise _damaged(manifest.sources[0], "its manifest")
    return manifest.sources[place.source]


def _unpack(content: bytes, packed: int) -> bytes:
    if not packed:
        return content
    try:
        return zlib.decompressobj().decompress(content, BLOCK)
    except zlib.error:
        return b""


def _data(part: int, number: int) -> str:
    return f"{DATA}{part:08x}-{number:04x}"


def _damaged(stored: Stored, what: str) -> Conflict:
    return Conflict(f"The backup {stored.name} is damaged: {what} is not what was stored.", code=DAMAGED)
