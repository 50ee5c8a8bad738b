# SPDX-License-Identifier: Apache-2.0
"""A root tree, a kernel and a RAM disk made into one disk that boots by BIOS and by UEFI.

The disk has a GPT with two partitions: a FAT one, from which syslinux (BIOS) and systemd-boot (UEFI) start the same
kernel, and the ext4 root, last, so that it can grow. Nothing is mounted: mtools and mke2fs write the file systems.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from cumulet.guest import recipe
from cumulet.kernel.run import run

MIB = 1 << 20
BOOT_CODE = 440  # bytes of the first sector that belong to the boot loader
ROOT_SLACK = 24  # MiB left free in the root
BOOT_SLACK = 2
FAT_MINIMUM = 12  # MiB below which the file system would need FAT12, which firmware reads unwillingly
ROOT_OPTIONS = ("-t", "ext4", "-b", "4096", "-N", "6144", "-m", "0", "-J", "size=4", "-L", recipe.ROOT_LABEL)

_SYSLINUX = "DEFAULT guest\nPROMPT 0\nTIMEOUT 1\nLABEL guest\n KERNEL /vmlinuz\n INITRD /initrd\n APPEND {line}\n"
_LOADER = "default guest\ntimeout 0\n"
_ENTRY = "title guest\nlinux /vmlinuz\ninitrd /initrd\noptions {line}\n"
_TABLE = """label: gpt
start={boot_start}, size={boot_size}, type=U, name=boot, attrs=LegacyBIOSBootable
start={root_start}, size={root_size}, type=L, name=root
"""


def make_root_filesystem(root: Path, image: Path) -> None:
    """Write the folder `root` as an ext4 file system; all belongs to root but the user's home, whoever builds."""
    size = sum(path.lstat().st_size + 4096 for path in root.rglob("*"))
    _allocate(image, (size // MIB + ROOT_SLACK) * MIB)
    run(["mke2fs", "-q", *ROOT_OPTIONS, "-d", root, image], timeout=120)
    run(["debugfs", "-w", "-f", "-", image], stdin="\n".join(_ownership(root)).encode(), timeout=120)


def make_boot_filesystem(packages: Path, kernel: Path, ramdisk: Path, image: Path) -> None:
    """Write the FAT file system with both boot loaders, the kernel and the RAM disk."""
    size = max(FAT_MINIMUM, (kernel.stat().st_size + ramdisk.stat().st_size) // MIB + BOOT_SLACK)
    _allocate(image, size * MIB)
    run(["mkfs.vfat", "-F", "16", "-n", "BOOT", image])
    run(["mmd", "-i", image, "::/EFI", "::/EFI/BOOT", "::/loader", "::/loader/entries"])
    loader = packages / "usr" / "lib" / "systemd" / "boot" / "efi" / "systemd-bootx64.efi"
    for source, name in ((kernel, "vmlinuz"), (ramdisk, "initrd"), (loader, "EFI/BOOT/BOOTX64.EFI")):
        run(["mcopy", "-i", image, source, f"::/{name}"])
    texts = {
        "syslinux.cfg": _SYSLINUX.format(line=recipe.KERNEL_LINE),
        "loader/loader.conf": _LOADER,
        "loader/entries/guest.conf": _ENTRY.format(line=recipe.KERNEL_LINE),
    }
    for name, text in texts.items():
        run(["mcopy", "-i", image, "-", f"::/{name}"], stdin=text.encode())
    run([packages / "usr" / "bin" / "syslinux", "--install", image])


def make_disk(packages: Path, boot: Path, root: Path, disk: Path) -> None:
    """Join both file systems into a partitioned raw disk."""
    boot_size, root_size = boot.stat().st_size, root.stat().st_size
    _allocate(disk, MIB + boot_size + root_size + MIB)
    table = _TABLE.format(
        boot_start=MIB // 512,
        boot_size=boot_size // 512,
        root_start=(MIB + boot_size) // 512,
        root_size=root_size // 512,
    )
    run(["sfdisk", "-q", disk], stdin=table.encode())
    first = packages / "usr" / "lib" / "syslinux" / "mbr" / "gptmbr.bin"
    with disk.open("r+b") as sink:
        sink.write(first.read_bytes()[:BOOT_CODE])
        for source, offset in ((boot, MIB), (root, MIB + boot_size)):
            _copy_sparse(source, sink.fileno(), offset)


def compress(disk: Path, image: Path) -> None:
    """Turn a raw disk into a qcow2 with zstd clusters."""
    run(["qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd", disk, image], timeout=300)


def _allocate(path: Path, size: int) -> None:
    with path.open("wb") as sink:
        sink.truncate(size)


def _copy_sparse(source: Path, sink: int, offset: int) -> None:
    with source.open("rb") as data:
        position = 0
        while block := data.read(MIB):
            if block.strip(b"\0"):
                os.pwrite(sink, block, offset + position)
            position += len(block)


def _ownership(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        owner = recipe.USER_ID if name == recipe.USER_HOME or name.startswith(recipe.USER_HOME + "/") else 0
        yield f"set_inode_field /{name} uid {owner}"
        yield f"set_inode_field /{name} gid {owner}"
    yield "set_inode_field / uid 0"
    yield "set_inode_field / gid 0"
    yield ""
