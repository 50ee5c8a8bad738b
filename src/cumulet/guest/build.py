# SPDX-License-Identifier: Apache-2.0
"""Build the guest image from Debian packages, or take it from the cache when nothing that it is made of has changed."""

from __future__ import annotations

import hashlib
import platform
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from cumulet.guest import disk, packages
from cumulet.guest.packages import GuestBuildError, Versions
from cumulet.guest.root import make_ramdisk, make_root

__all__ = ["GuestBuildError", "build"]


def build(output: Path, cache: Path, progress: Callable[[str], None]) -> Path:
    """Make the guest image at `output` (qcow2, about 30 MB) and return `output`.

    `cache` is a folder for downloads and earlier results; `progress` is told each phase as a short sentence. Raises
    GuestBuildError where the image cannot be made here, `kernel.run.CommandFailed` where a tool fails.
    """
    if platform.machine() != "x86_64":
        raise GuestBuildError(f"the guest image is for x86_64, this machine is {platform.machine()}")
    cache.mkdir(parents=True, exist_ok=True)
    wanted = packages.versions(cache)
    kept = cache / f"guest-{_key(wanted)}.qcow2"
    if kept.exists():
        progress("guest image: unchanged, from the cache")
    else:
        _make(kept, cache, wanted, progress)
        for old in cache.glob("guest-*.qcow2"):
            if old != kept:
                old.unlink()
    output.parent.mkdir(parents=True, exist_ok=True)
    draft = output.with_name(output.name + ".new")
    shutil.copyfile(kept, draft)
    draft.replace(output)
    return output


def _key(wanted: Versions) -> str:
    """What the image is made of, as a short name: package versions, and every file of this package."""
    digest = hashlib.sha256(msgspec.json.encode(sorted(wanted.packages.items())))
    here = Path(__file__).parent
    for path in sorted(here.rglob("*")):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(f"{path.relative_to(here)} {path.stat().st_size}\n".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _make(result: Path, cache: Path, wanted: Versions, progress: Callable[[str], None]) -> None:
    progress(f"guest image: fetching {len(wanted.packages)} Debian packages")
    files = packages.fetch(wanted, cache / "packages")
    with tempfile.TemporaryDirectory(prefix="build-", dir=cache) as folder:
        scratch = Path(folder)
        tree, root = scratch / "packages", scratch / "root"
        progress(f"guest image: unpacking, kernel {wanted.release}")
        static = [path for path in files if path.name.startswith("busybox-static_")]
        packages.unpack([path for path in files if path not in static], tree)
        packages.unpack(static, scratch / "static")
        progress("guest image: root file system")
        make_root(tree, root, wanted.release)
        disk.make_root_filesystem(root, scratch / "root.ext4")
        progress("guest image: boot partition")
        (scratch / "initrd").write_bytes(make_ramdisk(tree, scratch, wanted.release))
        kernel = tree / "boot" / f"vmlinuz-{wanted.release}"
        disk.make_boot_filesystem(tree, kernel, scratch / "initrd", scratch / "boot.fat")
        disk.make_disk(tree, scratch / "boot.fat", scratch / "root.ext4", scratch / "disk.raw")
        progress("guest image: compressing")
        disk.compress(scratch / "disk.raw", scratch / "guest.qcow2")
        (scratch / "guest.qcow2").replace(result)
