# SPDX-License-Identifier: Apache-2.0
"""What other services may ask: of the host part (`HostImages`) and in the control plane (`ImageContract`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import msgspec

from cumulet.kernel.context import Context

# The kernel's opaque transaction, and what a store can read from (a transaction or a snapshot).
Tx: TypeAlias = Any
Source: TypeAlias = Any

ACTIVE = "active"


class ImageInfo(msgspec.Struct, kw_only=True, frozen=True):
    """An image as compute and block storage see it.

    `size` and `virtual_size` are in bytes (None before there is data), `min_disk` in GiB, `min_ram` in MiB. `status` is
    `ACTIVE` for an image that can be used. `properties` are the words on it (`hw_disk_bus`, `os_type`).
    """

    id: str
    name: str | None
    owner: str | None
    status: str
    visibility: str
    disk_format: str | None
    container_format: str | None
    min_disk: int
    min_ram: int
    protected: bool
    size: int | None
    virtual_size: int | None
    checksum: str | None
    os_hash_algo: str | None
    os_hash_value: str | None
    properties: dict[str, str]
    tags: list[str]
    created_at: datetime
    updated_at: datetime


class NewImage(msgspec.Struct, kw_only=True, frozen=True):
    """An image that is to be made of a server's disk or a volume; sizes as in ImageInfo."""

    name: str
    disk_format: str = "qcow2"
    container_format: str = "bare"
    visibility: str = "private"
    min_disk: int = 0
    min_ram: int = 0
    protected: bool = False
    properties: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()


class Work(msgspec.Struct, kw_only=True, frozen=True):
    """What a plug-in for imports is given: the data at `data`, and a place `target` where it may put others instead.

    The formats are those that the user declared. `properties` are the words on the image, `roles` those of the user,
    `settings` those of this cloud. `largest` is how many bytes an image may have. `tell` is to be called now and
    then, with the bytes done so far: it raises where the import has been taken away meanwhile.
    """

    image_id: str
    data: Path
    target: Path
    disk_format: str
    container_format: str
    properties: Mapping[str, str]
    roles: frozenset[str]
    largest: int
    settings: Any
    tell: Callable[[int], None]


class Outcome(msgspec.Struct, kw_only=True, frozen=True):
    """What a plug-in did: whether the data are now at `target`, and what is to be written on the image."""

    replaced: bool = False
    disk_format: str | None = None
    container_format: str | None = None
    properties: Mapping[str, str] = {}


class ImportPlugin(Protocol):
    """Something that is done to imported data before they are an image's own.

    An entry point of the group `cumulet.image.import_plugins` names such a function. It leaves `Work.data` as they are,
    and may be called again after a crash. Invalid for data that it refuses: the import ends.
    """

    def __call__(self, work: Work) -> Outcome: ...


class ImageContract(Protocol):
    """In the control plane and in the data process."""

    def get(self, source: Source, ctx: Context, image_id: str) -> ImageInfo:
        """An image that the caller may see; NotFound for any other."""

    def find(self, source: Source, image_id: str) -> ImageInfo | None:
        """An image, whoever may see it; None where there is none (any more)."""

    def check_create(self, ctx: Context, new: NewImage) -> None:
        """Forbidden unless the caller may make such an image; call it before `create`, outside any transaction."""

    def create(self, tx: Tx, ctx: Context, new: NewImage) -> str:
        """Make a queued image that waits for its data, owned by the caller's project; its id.

        Invalid for words that cannot be stored. The data come by `store_stream`, or from a host by `HostImages.push`.
        """

    def set_properties(self, tx: Tx, image_id: str, properties: Mapping[str, str | None]) -> None:
        """Write words on an image, or take off those that are None; nothing happens where it is gone."""

    def read(self, image_id: str, offset: int, length: int) -> bytes:
        """Up to `length` bytes of an image's data; fewer at its end. NotFound without data; never in a transaction."""

    def store_stream(self, image_id: str, chunks: Iterable[bytes]) -> None:
        """Fill a queued image; it is active, with size and sums, when this returns. Never inside a transaction.

        Gone where the image went away meanwhile, Invalid where the data are not of its format (it is queued again).
        """

    def activate_empty(self, tx: Tx, image_id: str) -> bool:
        """A queued image is its words alone: active, with no bytes at all. Whether it is (still) there. Idempotent."""

    def delete(self, tx: Tx, image_id: str) -> None:
        """Remove an image, protected or not, with its data; nothing happens where it is gone."""

    def prefetch(self, host: str, image_id: str) -> None:
        """Let a host have its copy of an image before anybody needs it there; in the control plane alone, and slow.

        NotFound for an image without data, Conflict for one that a host may not open, NotReady while the host is away.
        """


class ImageQuery(msgspec.Struct, kw_only=True, frozen=True):
    """Which images a list of compute's shows: fields that are given must be equal, all of `properties` be there.

    `changed_since` is in UTC without a zone. The page begins after the image `marker`; `limit` is its length.
    """

    name: str | None = None
    status: str | None = None
    min_ram: int | None = None
    min_disk: int | None = None
    changed_since: datetime | None = None
    properties: Mapping[str, str] = {}
    marker: str | None = None
    limit: int = 1000


class OlderImages(Protocol):
    """In the control plane: images as compute's older API lists and changes them, by the rules of the image service."""

    def find_all(self, ctx: Context, wanted: ImageQuery) -> list[ImageInfo]:
        """What the caller may see, the newest first; Invalid for a marker that is not there."""

    def replace_properties(self, ctx: Context, image_id: str, properties: Mapping[str, str]) -> ImageInfo:
        """These are all of the image's words from now on. NotFound, Forbidden."""

    def delete(self, ctx: Context, image_id: str) -> None:
        """Remove it with its data. NotFound, Forbidden (also while it is protected)."""


class HostImages(Protocol):
    """On a host."""

    def base(self, image_id: str) -> Path:
        """The verified local copy of an image, in its declared format, read only; fetched at first use.

        The path stays good for an hour, and then as long as a disk of this host names it as its backing file; images
        with the same bytes share one. NotFound for an image without data, Conflict (`ImageUnacceptable`) for one that
        is not of its format or names other files, NotReady while the control plane is away.
        """

    def push(self, image_id: str, path: Path) -> None:
        """Fill a queued image with the file at `path`, in the image's declared format.

        Nothing happens where that has been done before. Gone where the image went away, Invalid where the data are not
        of its format, NotReady while the control plane is away.
        """
