# SPDX-License-Identifier: Apache-2.0
"""Volumes as files in a folder that several hosts have mounted: NFS, or a file system of a cluster.

Each host opens the files itself. What keeps two from one disk are QEMU's locks on files, which NFS has since version 4,
and orders about one volume are held apart by a lock of the same kind. The operator leaves a file `MARK` in the folder,
by which it is told from the place where it is to be mounted.
LIMITATIONS: as `file`; one writer a volume; backups of hosts leave the folder out, for it is no host's.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cumulet.kernel.errors import Conflict, NotReady
from cumulet.services.block_storage.contract import FileDisk
from cumulet.services.block_storage.drivers import file
from cumulet.services.block_storage.drivers.file import FileBackend
from cumulet.services.block_storage.drivers.kinds import NBD, BackendKind, Made, Place
from cumulet.settings.block_storage import FolderVolumeBackend

CAPABILITIES = msgspec.structs.replace(file.CAPABILITIES, name="shared", storage_protocol="nfs", multiattach=False)
MARK = "cumulet-volumes"


class SharedFolder(FileBackend):
    """`SharedStorage` below `root`, for the host called `host`. What needs the folder raises NotReady without it."""

    def __init__(self, root: Path, host: str) -> None:
        super().__init__(root, capabilities=CAPABILITIES, draft=f".new-{host}", make=False)
        self._root = root
        self._orders = root / "orders"
        self._is_made = False

    @contextmanager
    def order(self, name: str, term: int) -> Iterator[None]:
        self._check()
        with _locked(self._orders / "names", int.from_bytes(hashlib.sha256(name.encode()).digest()[:7], "big")):
            self._see(term)
            yield

    def source(self, volume_id: str) -> FileDisk:
        self._check()
        return super().source(volume_id)

    def volumes(self) -> list[str]:
        self._check()
        return super().volumes()

    def sweep(self) -> list[str]:
        return super().sweep() if (self._root / MARK).exists() else []

    def pin(self, folder: Path) -> list[str]:
        return []

    def empty_copy(self, volume_id: str, folder: Path) -> Path | None:
        self.source(volume_id)
        return None

    def bring_back(self, folder: Path) -> list[str]:
        return []

    def _check(self) -> None:
        if not (self._root / MARK).exists():
            raise NotReady(f"{self._root} is not mounted: it has no file {MARK}.")
        if not self._is_made:
            self._orders.mkdir(mode=0o700, exist_ok=True)
            self._make_folders()
            self._is_made = True

    def _see(self, term: int) -> None:
        """Remember the latest term that there was."""
        path = self._orders / "term"
        with _locked(self._orders / "terms", 0, wait=True):
            latest = int(path.read_text()) if path.exists() else 0
            if term < latest:
                raise Conflict("Another host keeps the volumes by now.", code="TermTooOld")
            if term > latest:
                draft = path.with_suffix(".new")
                with draft.open("w") as sink:
                    sink.write(str(term))
                    sink.flush()
                    os.fsync(sink.fileno())
                draft.rename(path)


@contextmanager
def _locked(path: Path, offset: int, *, wait: bool = False) -> Iterator[None]:
    """Hold one byte of the file alone, among all hosts and threads; NotReady where somebody else does.

    The lock is that of the open file, and so ends with whoever holds it. A file for each name would never go.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        words = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, offset, 1, 0)
        try:
            fcntl.fcntl(handle, fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK, words)
        except (BlockingIOError, PermissionError) as error:
            raise NotReady("Another host is at the volume.") from error
        yield
    finally:
        os.close(handle)


def _back_end(place: Place) -> Made:
    folder = place.settings.folder.absolute()
    return Made(SharedFolder(folder, place.host.name), {NBD: place.nbd()}, elsewhere=True)


KIND = BackendKind(FolderVolumeBackend, _back_end)
