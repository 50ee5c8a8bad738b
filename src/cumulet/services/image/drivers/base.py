# SPDX-License-Identifier: Apache-2.0
"""What a store of image bytes can do: drafts are written piece by piece and published whole, or not at all."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import msgspec

from cumulet.kernel.blob import is_segment


class Capabilities(msgspec.Struct, frozen=True):
    """`sparse`: blocks of zeros take no room. `durable`: what is published outlives the process and a power cut.

    `local`: the bytes are on a disk of this machine. `anywhere`: drafts may be written at any offset, from any process,
    and again; elsewhere the pieces of a draft come in order, from one process. `piece`: bytes best read at once.
    """

    sparse: bool
    durable: bool
    local: bool = True
    anywhere: bool = True
    piece: int = 1 << 20


class ReadableStore(Protocol):
    """Named sequences of bytes that do not change.

    Every method may be called from any thread, may block, and keeps no more than a piece in memory. What is not there
    is kernel.errors.NotFound, a store that does not answer NotReady.
    """

    @property
    def capabilities(self) -> Capabilities: ...

    def size(self, key: str) -> int:
        """The number of bytes of `key`."""

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Up to `length` bytes of `key` from `offset` on, fewer at its end."""

    def url(self, key: str) -> str:
        """The address of `key`, as clients are told it."""

    def key_of(self, url: str) -> str | None:
        """The name behind an address; None for one that is not in this store."""


class ByteStore(ReadableStore, Protocol):
    """A store that is written. Names are letters, digits, dots, dashes and underscores; ValueError for any other.

    A piece that was never written reads as zeros. A disk without room is `kernel.blob.StorageFull`.
    """

    def begin(self, draft: str, key: str) -> None:
        """Say, before anything is written, as what a draft is going to be published: some stores write it there.

        Nobody may be reading `key` meanwhile. What is not begun is written all the same.
        """

    def write(self, draft: str, offset: int, data: bytes) -> None:
        """Put `data` into a draft at `offset` bytes; the same call twice does no harm. The first makes the draft."""

    def read_draft(self, draft: str, offset: int, length: int) -> bytes:
        """Up to `length` bytes of a draft, fewer at its end. Where drafts are not written `anywhere`, it ends them."""

    def drafts(self) -> dict[str, float]:
        """The drafts that are there, with the seconds since each was last written."""

    def publish(self, draft: str, key: str, size: int) -> None:
        """Make a draft, cut or filled up to `size` bytes, the content of `key`, at once and for good.

        Where the draft is gone and `key` is there with `size` bytes, it was done before, and nothing happens.
        """

    def discard(self, draft: str) -> None:
        """Remove a draft; nothing happens where there is none."""

    def delete(self, key: str) -> None:
        """Remove `key`; nothing happens where there is none."""

    def published(self) -> dict[str, float]:
        """What has been published, with the seconds since."""


@runtime_checkable
class SharesBytes(Protocol):
    """What a store adds that keeps the same bytes once, however many keys have them."""

    def share(self, key: str, sha512: str) -> None:
        """Let `key`, whose bytes have this sum, take no room of its own where there are others with it."""


def is_name(name: str) -> bool:
    """Whether it is a plain name, that can mean nothing else."""
    return is_segment(name)


def check_name(name: str) -> str:
    """`name` itself; ValueError where it could mean anything but a plain name."""
    if not is_name(name):
        raise ValueError(f"not a name in a byte store: {name!r}")
    return name
