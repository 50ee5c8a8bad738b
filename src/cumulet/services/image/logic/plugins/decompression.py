# SPDX-License-Identifier: Apache-2.0
"""The plug-in `image_decompression`: gzip, zip and LHA unpacked, told by their first bytes."""

from __future__ import annotations

import gzip
import shutil
import zipfile
import zlib
from collections.abc import Callable
from typing import Protocol

from cumulet.kernel import run
from cumulet.kernel.errors import Invalid, TooLarge
from cumulet.services.image.contract import Outcome, Work

PIECE = 1 << 20  # bytes
KEPT = "compressed"  # the container format of images that are meant to stay as they are
LHA = "lha"  # Debian's lhasa
LHA_TIME = 3600.0  # seconds


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


def decompress(work: Work) -> Outcome:
    """Data that are packed, unpacked; Invalid for damaged ones, TooLarge for more than an image may have."""
    if work.container_format == KEPT:
        return Outcome()
    with work.data.open("rb") as source:
        head = source.read(8)
    unpack = next((each for start, magic, each in _MAGIC if head[start : start + len(magic)] == magic), None)
    if unpack is None:
        return Outcome()
    unpack(work)
    return Outcome(replaced=True)


def _unpack_gzip(work: Work) -> None:
    try:
        with gzip.open(work.data) as source:
            _copy(source, work)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise Invalid(f"The data are no sound gzip file: {error}") from error


def _unpack_zip(work: Work) -> None:
    try:
        with zipfile.ZipFile(work.data) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise Invalid("Archive contains more than one file.")
            with archive.open(names[0]) as source:
                _copy(source, work)
    except (zipfile.BadZipFile, EOFError, zlib.error, RuntimeError, NotImplementedError) as error:
        raise Invalid(f"The data are no sound zip file: {error}") from error


def _unpack_lha(work: Work) -> None:
    program = shutil.which(LHA)
    if program is None:
        raise Invalid("No lhafile available.")
    folder = work.target.with_name(f"{work.target.name}.lha")
    shutil.rmtree(folder, ignore_errors=True)  # what a crash left
    folder.mkdir()
    try:
        run.run([program, f"xqfiw={folder}", work.data], timeout=LHA_TIME)
        found = list(folder.iterdir())
        if len(found) != 1 or found[0].is_symlink() or not found[0].is_file():
            raise Invalid("Archive contains more than one file.")
        with found[0].open("rb") as source:
            _copy(source, work)
    except run.CommandFailed as error:
        raise Invalid(f"The data are no sound LHA file: {error.output}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(source: _Readable, work: Work) -> None:
    done = 0
    with work.target.open("wb") as sink:
        while piece := source.read(PIECE):
            done += len(piece)
            if done > work.largest:
                raise TooLarge("The provided image is too large.")
            sink.write(piece)
            work.tell(done)


_MAGIC: tuple[tuple[int, bytes, Callable[[Work], None]], ...] = (
    (0, b"PK\x03\x04", _unpack_zip),
    (2, b"-lh", _unpack_lha),
    (0, b"\x1f\x8b\x08", _unpack_gzip),
)
