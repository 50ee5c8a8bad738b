# SPDX-License-Identifier: Apache-2.0
"""Files that an operator put into a back end's folder `adoption`, to become volumes and snapshots.

In `adoption/volumes` and `adoption/snapshots` the suffix says what a file is: `.qcow2`, or `.raw` and `.img` for a
plain sequence of sectors, which is never looked into, since a guest may have written it. What is said to be a qcow2 is
inspected: one that names other files, or that no hypervisor should open, is refused. What leaves the service's care
comes here as `volume-<id>.qcow2` or `snapshot-<id>.qcow2`.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from cumulet.kernel.diskimage import candidates, mismatch, of_file
from cumulet.kernel.errors import CumuletError, Invalid, NotFound
from cumulet.services.block_storage.drivers.base import Kind, Stranger

FORMATS = {".qcow2": "qcow2", ".raw": "raw", ".img": "raw"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,199}")
_ENCRYPTION = slice(32, 36)  # bytes of a qcow2's header
_TAKEN = ".taken-"  # before the id of whoever takes the file: a folder


class Adoption:
    """The folder `adoption` below `root`."""

    def __init__(self, root: Path) -> None:
        self._root = root / "adoption"

    def make(self) -> None:
        for kind in ("volume", "snapshot"):
            self.folder(kind).mkdir(mode=0o700, parents=True, exist_ok=True)

    def folder(self, kind: Kind) -> Path:
        return self._root / f"{kind}s"

    def all(self, kind: Kind) -> list[Stranger]:
        """What could be adopted, and what cannot, with the reason; by name."""
        return [look(path) for path in sorted(self.folder(kind).iterdir()) if _NAME.fullmatch(path.name)]

    def find(self, kind: Kind, name: str) -> Stranger:
        """The file of that name, which may lack the suffix. NotFound; Invalid where several have it."""
        found = [each for each in self.all(kind) if name in (each.name, each.name.removesuffix(suffix_of(each.name)))]
        exact = [each for each in found if each.name == name]
        if not found:
            raise NotFound(f"There is no {kind} {name} to adopt.")
        if len(found) > 1 and not exact:
            raise Invalid(f"Several files have the name {name}: say the suffix.")
        return (exact or found)[0]

    def take(self, kind: Kind, disk_id: str, name: str) -> Path:
        """Put the file aside for whoever has the id; the same one a second time. NotFound, Invalid for a bad one."""
        taken = self.taken(kind, disk_id)
        if taken is None:
            found = self.find(kind, name)
            if found.reason:
                raise Invalid(f"{name} cannot be adopted: {found.reason}.")
            taken = self._holder(kind, disk_id) / found.name
            taken.parent.mkdir(mode=0o700, exist_ok=True)
            (self.folder(kind) / found.name).rename(taken)
            sync(taken.parent)
            sync(self.folder(kind))
        return taken

    def taken(self, kind: Kind, disk_id: str) -> Path | None:
        """The file that is put aside for that id, under its own name."""
        holder = self._holder(kind, disk_id)
        return next(holder.iterdir(), None) if holder.is_dir() else None

    def release(self, kind: Kind, disk_id: str) -> None:
        """Nothing is put aside for that id any more; what still is goes."""
        holder = self._holder(kind, disk_id)
        if holder.is_dir():
            for path in holder.iterdir():
                path.unlink()
            holder.rmdir()
            sync(self.folder(kind))

    def give_back(self, kind: Kind, disk_id: str) -> bool:
        """Bring back what is put aside for that id; whether anything is."""
        taken = self.taken(kind, disk_id)
        if taken is not None:
            self.put(kind, taken, taken.name)
        self.release(kind, disk_id)
        return taken is not None

    def put(self, kind: Kind, path: Path, name: str) -> None:
        """Move a file here, under a name that is free."""
        target = self.folder(kind) / name
        while target.exists():
            target = target.with_name(f"again-{target.name}")
        path.rename(target)
        sync(path.parent)
        sync(target.parent)

    def _holder(self, kind: Kind, disk_id: str) -> Path:
        return self.folder(kind) / f"{_TAKEN}{disk_id}"


def suffix_of(name: str) -> str:
    return Path(name).suffix


def look(path: Path) -> Stranger:
    """What a file is, out of its name and its header alone."""
    suffix, size, reason = suffix_of(path.name), 0, ""
    try:
        status = path.lstat()
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
            reason = "it is no file of its own"
        elif suffix not in FORMATS:
            reason = f"its suffix is none of {', '.join(FORMATS)}"
        elif FORMATS[suffix] == "raw":
            size = status.st_size
        else:
            size, reason = _look_at_qcow2(path)
    except OSError as error:
        reason = error.strerror or "it cannot be read"
    if not reason and size <= 0:
        reason = "it is empty"
    return Stranger(name=path.name, size=size, reason=reason)


def _look_at_qcow2(path: Path) -> tuple[int, str]:
    read, size = of_file(path)
    try:
        found = candidates(read, size, "qcow2")
    except CumuletError as error:
        return 0, error.message
    if (wrong := mismatch(found, "qcow2")) or found[0].format != "qcow2":
        return 0, wrong or "it is no qcow2"
    if found[0].dangers:
        return found[0].virtual_size or 0, found[0].dangers[0].says
    if any(read(_ENCRYPTION.start, 4)):
        return found[0].virtual_size or 0, "it is encrypted"
    return found[0].virtual_size or 0, ""


def sync(path: Path) -> None:
    """Have the file or folder on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
