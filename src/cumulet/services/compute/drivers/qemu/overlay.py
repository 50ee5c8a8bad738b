# SPDX-License-Identifier: Apache-2.0
"""A server's own disk files: a qcow2 overlay above the image, and empty disks."""

from __future__ import annotations

import struct
from collections.abc import Collection
from pathlib import Path

from cumulet.kernel import memory_file, run
from cumulet.kernel.errors import Conflict
from cumulet.services.compute.drivers.qemu import filesystems

GIB = 1 << 30
IMAGE_TOOL = "qemu-img"
_HEADER = struct.Struct(">4sIQIIQ")  # magic, version, backing offset, backing length, cluster bits, size
_QCOW2 = b"QFI\xfb"
_EXTERNAL_DATA_FILE = 1 << 2
_INCOMPATIBLE_OFFSET = 72


def make_root(path: Path, base: Path, base_format: str, size: int) -> None:
    """Lay an overlay of at least `size` GiB above `base`; one that exists is left as it is.

    Raises Conflict for an image that refers to other files (it could show the host's own) or one that is larger than
    the disk.
    """
    if path.exists():
        return
    length = virtual_size(base, base_format)
    if size and length > size * GIB:
        raise Conflict(f"the image needs {length} bytes, the disk has {size} GiB", code="FlavorDiskSmallerThanImage")
    _create(path, max(length, size * GIB), "-b", str(base), "-F", base_format)


def make_empty(path: Path, size: int, filesystem: str = "") -> None:
    """An empty disk of `size` bytes, with a file system of the disk's name; one that exists is left as it is."""
    if path.exists():
        return
    if not filesystem:
        _create(path, size)
        return
    with filesystems.formatted(path.with_suffix(".raw"), size, filesystem, path.stem) as draft:
        _convert(draft, path)


def virtual_size(base: Path, base_format: str) -> int:
    """The size in bytes that a guest sees of an image in its declared format."""
    if base_format == "raw":
        return base.stat().st_size
    with base.open("rb") as source:
        head = source.read(_INCOMPATIBLE_OFFSET + 8)
    if len(head) < _HEADER.size or head[:4] != _QCOW2:
        raise Conflict("the image is not in the qcow2 format that it was declared to be", code="ImageUnacceptable")
    _magic, version, backing, _length, _bits, size = _HEADER.unpack_from(head)
    incompatible = struct.unpack_from(">Q", head, _INCOMPATIBLE_OFFSET)[0] if version >= 3 else 0
    if backing or incompatible & _EXTERNAL_DATA_FILE:
        raise Conflict("the image refers to other files", code="ImageUnacceptable")
    return int(size)


def overlay_size(path: Path) -> int:
    """The size in bytes of a disk that this module made."""
    with path.open("rb") as source:
        return int(_HEADER.unpack(source.read(_HEADER.size))[5])


def size_of(path: Path, kind: str) -> int:
    """The size in bytes of a volume in a file, in its declared format."""
    return path.stat().st_size if kind == "raw" else overlay_size(path)


def cut(path: Path, kind: str, size: int) -> None:
    """Make a volume that nobody has open smaller, whatever it holds."""
    run.run([IMAGE_TOOL, "resize", "-q", "--shrink", "-f", kind, path, str(size)])


def copy(source: Path, target: Path, target_format: str) -> None:
    """A full copy of a disk that no server has open, without its backing file."""
    run.run([IMAGE_TOOL, "convert", "-q", "-f", "qcow2", "-O", target_format, source, target], timeout=3600)


def overwrite(target: Path, target_format: str, source: Path, source_format: str) -> None:
    """Write a whole image over a disk that nobody has open; what lies behind the image's end is left as it is."""
    run.run([IMAGE_TOOL, "convert", "-q", "-n", "-f", source_format, "-O", target_format, source, target], timeout=3600)


def overwrite_in_container(target: Path, target_format: str, passphrase: str, source: Path, source_format: str) -> None:
    """The same of a disk that is a LUKS container: the image is encrypted in it."""
    path = str(target).replace(",", ",,")
    disk = f"driver=luks,key-secret=key,file.driver={target_format},file.file.driver=file,file.file.filename={path}"
    with memory_file.holding(passphrase.encode()) as key:
        secret = ("--object", f"secret,id=key,file={memory_file.path_of(key)}")
        words = ("-q", "-n", *secret, "-f", source_format, "--target-image-opts", source, disk)
        run.run([IMAGE_TOOL, "convert", *words], timeout=3600, pass_fds=[key])


def discard(folder: Path, kept: Collection[str]) -> None:
    """Remove the disks, the config drive and the firmware's variables in a server's folder, save those in `kept`."""
    for path in [*folder.glob("*.qcow2"), *folder.glob("*.iso"), *folder.glob("*.fd")]:
        if path.name not in kept:
            path.unlink(missing_ok=True)


def _convert(source: Path, path: Path) -> None:
    draft = path.with_suffix(".new")
    run.run([IMAGE_TOOL, "convert", "-q", "-f", "raw", "-O", "qcow2", source, draft], timeout=600)
    draft.rename(path)


def _create(path: Path, size: int, *extra: str) -> None:
    """A crash in the middle leaves no half-made disk under the final name."""
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    run.run([IMAGE_TOOL, "create", "-q", "-f", "qcow2", *extra, draft, str(size)])
    draft.rename(path)
