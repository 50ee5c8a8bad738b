# SPDX-License-Identifier: Apache-2.0
"""`Blobs` as files of one folder, which may be one that several machines mount."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cumulet.kernel.blob import StorageFull, check, home_of
from cumulet.kernel.errors import NotFound, NotReady

DRAFT = "."  # what the names of files begin with that are not whole
_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR})


class FileBlobs:
    """`Blobs` below `folder`, which is made where its parent is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def home(self, container: str) -> str:
        return home_of(container)

    def put(self, name: str, content: bytes) -> None:
        path = self._path(name)
        with _told(name):
            try:
                self._folder.mkdir(mode=0o700, exist_ok=True)
            except FileNotFoundError as error:
                raise NotReady("The folder of the store is not there.") from error
            self._make(path.parent)
            draft = path.with_name(f"{DRAFT}{path.name}.{secrets.token_hex(8)}")
            try:
                self._write(draft, content)
                draft.rename(path)
            except BaseException:
                with suppress(OSError):
                    draft.unlink()
                raise
            _sync(path.parent)

    def get(self, name: str, offset: int = 0, length: int | None = None) -> bytes:
        with _told(name), self._path(name).open("rb") as file:
            file.seek(offset)
            return file.read() if length is None else file.read(length)

    def names(self, below: str) -> Iterator[str]:
        with _told(below):
            for folder, _, files in os.walk(self._path(below), onerror=_unless_absent):
                for file in files:
                    if not file.startswith(DRAFT):
                        yield (Path(folder) / file).relative_to(self._folder).as_posix()

    def delete(self, name: str) -> None:
        path = self._path(name)
        with suppress(NotFound), _told(name):
            path.unlink()
            _sync(path.parent)

    def delete_all(self, below: str) -> None:
        path = self._path(below)
        with suppress(NotFound), _told(below):
            shutil.rmtree(path)
            _sync(path.parent)

    def tidy(self, below: str) -> None:
        with suppress(NotFound), _told(below):
            for path in self._path(below).glob(f"{DRAFT}*"):
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / check(name)

    def _make(self, folder: Path) -> None:
        if folder == self._folder or folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync(folder.parent)

    def _write(self, draft: Path, content: bytes) -> None:
        with draft.open("xb") as sink:
            os.fchmod(sink.fileno(), 0o600)
            sink.write(content)
            sink.flush()
            os.fsync(sink.fileno())


def _unless_absent(error: OSError) -> None:
    if error.errno not in _ABSENT:
        raise error


@contextmanager
def _told(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _ABSENT:
            raise NotFound(f"The store has no {name}.") from error
        if error.errno in _NO_ROOM:
            raise StorageFull("The store has no room.") from error
        raise NotReady(f"The store cannot be used: {os.strerror(error.errno or 0)}.") from error


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
