# SPDX-License-Identifier: Apache-2.0
"""The file of a backup: a tar whose last member, the manifest, holds everybody's checksum and makes it whole.

It is written under a temporary name, for its owner alone, and gets its own name when it is durable. Reading believes
nothing that the manifest does not name, and nothing whose checksum differs.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import IO, Self

import msgspec

MANIFEST = "manifest.json"
FORMAT = 1
BLOCK = 1 << 20
_ZEROS = bytes(BLOCK)


class Broken(Exception):
    """The file is not a whole backup; the text says why, for the operator."""


class Member(msgspec.Struct, frozen=True):
    """A file: its bytes, mode and SHA-256."""

    size: int
    mode: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What the backup is of: when (UTC, ISO 8601), by which release, of which host and database engine."""

    format: int = FORMAT
    taken_at: str
    version: str
    host: str
    database: str
    members: dict[str, Member]


class Writer:
    """Writes the backup at `path`, which must not exist; without `finish` nothing comes to lie there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft = path.with_name(f".{path.name}.partial")
        self._members: dict[str, Member] = {}

    def __enter__(self) -> Self:
        if self._path.exists():
            raise FileExistsError(f"{self._path} is there already")
        self._draft.unlink(missing_ok=True)
        handle = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._file = os.fdopen(handle, "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)
        return self

    def add(self, name: str, source: Path) -> int:
        """Append the file `source` as `name`; its bytes. A file that grows meanwhile is cut at the size it had."""
        with source.open("rb") as file:
            about = os.fstat(file.fileno())
            info = tarfile.TarInfo(name)
            info.size, info.mode, info.mtime = about.st_size, about.st_mode & 0o777, int(about.st_mtime)
            reader = _Hashing(file, about.st_size)
            self._tar.addfile(info, reader)
        self._members[name] = Member(info.size, info.mode, reader.hexdigest())
        return info.size

    def finish(self, *, taken_at: str, version: str, host: str, database: str) -> Manifest:
        """Append the manifest and let the file take its name, durably."""
        about = Manifest(taken_at=taken_at, version=version, host=host, database=database, members=self._members)
        draft = self._draft.with_name(self._draft.name + ".manifest")
        draft.write_bytes(msgspec.json.encode(about))
        try:
            self._tar.add(draft, MANIFEST, recursive=False)
        finally:
            draft.unlink()
        self._tar.close()
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        # A link does not replace what came to lie there meanwhile, as a rename would.
        os.link(self._draft, self._path)
        self._draft.unlink()
        _sync(self._path.parent)
        return about

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._draft.unlink(missing_ok=True)


def read_manifest(path: Path) -> Manifest:
    """The manifest of the backup at `path`. Raises Broken."""
    with _open(path) as tar:
        try:
            last = None
            for last in tar:  # noqa: B007 - the last one is wanted
                pass
            file = tar.extractfile(MANIFEST) if last is not None and last.name == MANIFEST else None
            if file is None:
                raise Broken(f"{path} has no manifest: it was never finished")
            about = msgspec.json.decode(file.read(), type=Manifest)
        except (tarfile.TarError, msgspec.DecodeError, EOFError) as error:
            raise Broken(f"{path} is damaged: {error}") from error
    if about.format != FORMAT:
        raise Broken(f"{path} has the format {about.format}; this release reads {FORMAT}")
    return about


def extract(path: Path, about: Manifest, folder: Path | None, told: Callable[[str], None] = lambda _name: None) -> None:
    """Write all members below `folder`, durably, or with None only check them. Raises Broken."""
    seen = set()
    with _open(path) as tar:
        try:
            for info in tar:
                if info.name == MANIFEST:
                    continue
                member = about.members.get(info.name)
                source = tar.extractfile(info)
                if member is None or source is None or not _is_inside(info.name):
                    raise Broken(f"{path} holds {info.name}, which its manifest does not name")
                digest = _write(source, None if folder is None else folder / info.name, member)
                if digest != member.sha256 or info.size != member.size:
                    raise Broken(f"{info.name} is not what was backed up: its checksum differs")
                seen.add(info.name)
                told(info.name)
        except (tarfile.TarError, EOFError) as error:
            raise Broken(f"{path} is damaged: {error}") from error
    if missing := sorted(about.members.keys() - seen):
        raise Broken(f"{path} lacks {missing[0]}, which its manifest names")


class _Hashing:
    """A file of `size` bytes whose checksum grows as it is read; where it ends early, zeroes follow."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        data = self._file.read(wanted).ljust(wanted, b"\0")
        self._left -= len(data)
        self._digest.update(data)
        return data

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


def _open(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, mode="r:")
    except (tarfile.TarError, EOFError) as error:
        raise Broken(f"{path} is not a backup: {error}") from error


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts


def _write(source: IO[bytes], target: Path | None, member: Member) -> str:
    digest = hashlib.sha256()
    if target is None:
        while data := source.read(BLOCK):
            digest.update(data)
        return digest.hexdigest()
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, member.mode)
    with os.fdopen(handle, "wb") as sink:
        while data := source.read(BLOCK):
            digest.update(data)
            # Runs of zeroes become holes again.
            if data == _ZEROS[: len(data)]:
                sink.seek(len(data), os.SEEK_CUR)
            else:
                sink.write(data)
        sink.truncate(member.size)
        sink.flush()
        os.fsync(sink.fileno())
    return digest.hexdigest()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
