# SPDX-License-Identifier: Apache-2.0
"""Formats are told apart as QEMU tells them, from any bytes, by reading little; no bytes are a bug."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from pathlib import Path

import pycdlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cumulet.kernel.diskimage import FORMATS, Found, Reader, candidates, inspect, of_file
from cumulet.kernel.diskimage.base import BLOCK, LARGEST, MOST
from cumulet.kernel.errors import Invalid

SIZE = 10 << 20
needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
OUR_NAMES = {"vpc": "vhd"}
SAFE = [
    ("qcow2", ()),
    ("qcow2", ("-o", "compat=0.10")),
    ("qcow2", ("-o", "cluster_size=512,refcount_bits=1")),
    ("qcow2", ("-o", "compression_type=zstd,extended_l2=on,cluster_size=128k,lazy_refcounts=on")),
    ("vmdk", ()),
    ("vmdk", ("-o", "subformat=streamOptimized")),
    ("vmdk", ("-o", "adapter_type=lsilogic,hwversion=6,zeroed_grain=on")),
    ("vdi", ()),
    ("vdi", ("-o", "static=on")),
    ("vhdx", ()),
    ("vhdx", ("-o", "subformat=fixed")),
    ("vpc", ()),
    ("vpc", ("-o", "force_size=on")),
    ("raw", ()),
]
UNSAFE = [
    ("qed", ()),
    ("vmdk", ("-o", "subformat=monolithicFlat")),
    ("vmdk", ("-o", "subformat=twoGbMaxExtentSparse")),
    ("vmdk", ("-o", "subformat=twoGbMaxExtentFlat")),
]


def made(path: Path, image_format: str, *options: str, size: int = SIZE) -> Path:
    """An image that qemu-img makes."""
    subprocess.run(["qemu-img", "create", "-q", "-f", image_format, *options, str(path), str(size)], check=True)
    return path


def asked(path: Path) -> tuple[str, int]:
    """Format and virtual size, as QEMU finds them by itself."""
    said = subprocess.run(
        ["qemu-img", "info", "-U", "--output=json", str(path)], check=True, capture_output=True, text=True
    )
    words = json.loads(said.stdout)
    return OUR_NAMES.get(words["format"], words["format"]), words["virtual-size"]


def of(content: bytes) -> Reader:
    return lambda offset, length: content[offset : offset + length]


@needs_qemu
@pytest.mark.parametrize(("image_format", "options"), SAFE)
def test_we_see_what_qemu_sees(tmp_path: Path, image_format: str, options: tuple[str, ...]) -> None:
    path = made(tmp_path / "disk", image_format, *options)
    assert inspect(*of_file(path)) == Found(*asked(path))


def luks(version: int = 1) -> bytes:
    """A LUKS of 1 MiB, all of whose keys are away."""
    data = 4104  # sectors
    head = struct.pack(
        ">6sH32s32s32sII20s32sI40s", b"LUKS\xba\xbe", version, b"aes", b"xts-plain64", b"sha256", data, 64, bytes(20),
        bytes(32), 1000, b"5f6b3a0e-52a5-4a59-bd8f-0d8a3f0f6b1a",
    )  # fmt: skip
    slots = b"".join(struct.pack(">II32sII", 0xDEAD, 0, bytes(32), 8 + 512 * slot, 4000) for slot in range(8))
    return (head + slots).ljust(data * 512 + (1 << 20), b"\0")


@needs_qemu
def test_a_luks_is_as_large_as_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "disk"
    path.write_bytes(luks())
    assert inspect(*of_file(path)) == Found(*asked(path)) == Found("luks", 1 << 20)
    assert inspect(of(luks(2)), len(luks())).dangers


@needs_qemu
@pytest.mark.parametrize(("image_format", "options"), UNSAFE)
def test_what_is_not_one_file_that_we_know_is_unsafe(
    tmp_path: Path, image_format: str, options: tuple[str, ...]
) -> None:
    path = made(tmp_path / "disk", image_format, *options)
    found = inspect(*of_file(path))
    assert found.format == asked(path)[0]
    assert found.dangers


@needs_qemu
def test_a_fixed_vhd_is_told_by_its_end_to_who_expects_one(tmp_path: Path) -> None:
    path = made(tmp_path / "disk", "vpc", "-o", "subformat=fixed,force_size=on")
    assert inspect(*of_file(path), expected="vhd") == Found("vhd", SIZE)
    assert inspect(*of_file(path)).format == "raw"


def test_an_iso_that_a_machine_starts_from_as_from_a_disk_is_an_iso(tmp_path: Path) -> None:
    disk = pycdlib.PyCdlib()
    disk.new(vol_ident="CONFIG")
    disk.write(str(tmp_path / "iso"))
    content = bytearray((tmp_path / "iso").read_bytes())
    assert inspect(of(bytes(content)), len(content)) == Found("iso", len(content))
    content[510:512] = b"\x55\xaa"
    assert inspect(of(bytes(content)), len(content)) == Found("iso", len(content))


def partitioned(*partitions: tuple[int, tuple[int, int, int], int, int], mark: bytes = b"\x55\xaa") -> bytes:
    """A first sector with partitions: boot flag, first cylinder, head and sector, type, first sector."""
    sector = bytearray(512)
    for number, (boot, start, kind, first) in enumerate(partitions):
        entry = bytes((boot, *start, kind, 0, 0, 0)) + first.to_bytes(4, "little") + (99).to_bytes(4, "little")
        sector[446 + 16 * number : 462 + 16 * number] = entry
    sector[510:] = mark
    return bytes(sector)


PROTECTIVE = (0, (0, 2, 0), 0xEE, 1)


@pytest.mark.parametrize(
    ("sector", "is_safe"),
    [
        (partitioned((0x80, (0, 2, 0), 0x83, 2048)), True),
        (partitioned(PROTECTIVE), True),
        (partitioned(), False),
        (partitioned((0x12, (0, 2, 0), 0x83, 2048)), False),
        (partitioned(PROTECTIVE, (0, (0, 3, 0), 0x83, 2048)), False),
        (partitioned((0, (0, 2, 0), 0xEE, 2)), False),
        (partitioned((0, (1, 2, 0), 0xEE, 1)), False),
    ],
)
def test_partition_tables_must_be_as_the_standard_has_them(sector: bytes, *, is_safe: bool) -> None:
    content = sector + bytes(4096)
    found = inspect(of(content), len(content))
    assert (found.format, found.virtual_size) == ("gpt", len(content))
    assert {each.check for each in found.dangers} == (set() if is_safe else {"mbr"})


def test_a_fat_is_no_partition_table() -> None:
    sector = bytearray(partitioned())
    sector[0x10], sector[0x15] = 2, 0xF8
    assert inspect(of(bytes(sector)), 512).format == "raw"


MAGICS = [
    b"", b"QFI\xfb\0\0\0\x02", b"QFI\xfb\0\0\0\x03", b"KDMV\x01\0\0\0", b"COWD", b"# Disk DescriptorFile\n",
    b"conectix", b"vhdxfile", b"QED\0", b"LUKS\xba\xbe\0\x01", bytes(0x40) + b"\x7f\x10\xda\xbe", b'createType="',
]  # fmt: skip


class Counted:
    """Bytes that count how many of them are read; beyond `content` there are zeros."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.read = 0

    def __call__(self, offset: int, length: int) -> bytes:
        self.read += length
        return self.content[offset : offset + length].ljust(length, b"\0")


def judge(content: bytes, size: int) -> None:
    counted = Counted(content)
    for expected in ("", "vhd", "qcow2"):
        counted.read = 0
        try:
            found = candidates(counted, size, expected)
        except Invalid:
            continue
        finally:
            assert counted.read <= MOST * BLOCK
        assert found
        for each in found:
            assert each.format in FORMATS
            assert each.virtual_size is None or 0 <= each.virtual_size <= LARGEST


@given(st.sampled_from(MAGICS), st.binary(max_size=300), st.integers(0, LARGEST))
def test_any_bytes_get_an_answer_or_a_refusal(magic: bytes, content: bytes, size: int) -> None:
    judge(magic + content, size)
    judge(magic + content, len(magic + content))


@pytest.fixture(scope="module")
def seeds(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """The beginnings of real images: what comes after is changed in places that matter."""
    folder = tmp_path_factory.mktemp("seeds")
    kinds = [("qcow2", ()), ("vmdk", ("-o", "subformat=streamOptimized")), ("vhdx", ()), ("vdi", ()), ("vpc", ())]
    return [
        made(folder / f"{number}", kind, *options, size=1 << 20).read_bytes()[: 2400 << 10]
        for number, (kind, options) in enumerate(kinds)
    ]


@needs_qemu
@settings(max_examples=60)
@given(data=st.data())
def test_any_change_of_a_real_image_gets_an_answer_or_a_refusal(seeds: list[bytes], data: st.DataObject) -> None:
    content = bytearray(data.draw(st.sampled_from(seeds)))
    places = st.one_of(
        st.integers(0, 0x200), st.integers(0x200, 0x600), st.integers(192 << 10, (192 << 10) + 200),
        st.integers(2 << 20, (2 << 20) + 300),
    )  # fmt: skip
    for place, change in data.draw(st.lists(st.tuples(places, st.binary(min_size=1, max_size=9)), max_size=4)):
        content[place : place + len(change)] = change
    judge(bytes(content), data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content)))))
