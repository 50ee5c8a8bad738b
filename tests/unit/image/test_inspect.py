# SPDX-License-Identifier: Apache-2.0
"""Formats are told apart, sizes are read, and hostile images are refused; real images are made by qemu-img."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pycdlib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.kernel.errors import Invalid
from cumulet.services.image.logic.inspect import Found, Reader, check, inspect

SIZE = 10 << 20
needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


def of(content: bytes) -> Reader:
    return lambda offset, length: content[offset : offset + length]


def look(content: bytes) -> Found:
    return inspect(of(content), len(content))


def made(path: Path, image_format: str, *options: str) -> bytes:
    words = ["qemu-img", "create", "-q", "-f", image_format, *options, str(path), str(SIZE)]
    subprocess.run(words, check=True)
    return path.read_bytes()


@needs_qemu
@pytest.mark.parametrize(
    ("named", "image_format", "options"),
    [
        ("qcow2", "qcow2", ()),
        ("qcow2", "qcow2", ("-o", "compat=0.10")),
        ("qcow2", "qcow2", ("-o", "compression_type=zstd,extended_l2=on,cluster_size=128k")),
        ("vmdk", "vmdk", ()),
        ("vmdk", "vmdk", ("-o", "subformat=streamOptimized")),
        ("vdi", "vdi", ()),
        ("vhdx", "vhdx", ()),
        ("vhd", "vpc", ("-o", "force_size=on")),
        ("raw", "raw", ()),
    ],
)
def test_a_real_image_is_recognized(tmp_path: Path, named: str, image_format: str, options: tuple[str, ...]) -> None:
    content = made(tmp_path / "disk", image_format, *options)
    assert look(content) == Found(named, SIZE)
    assert check(of(content), len(content), named, "bare") == SIZE


def test_an_iso_is_recognized(tmp_path: Path) -> None:
    disk = pycdlib.PyCdlib()
    disk.new(vol_ident="CONFIG")
    disk.write(str(tmp_path / "iso"))
    content = (tmp_path / "iso").read_bytes()
    assert look(content) == Found("iso", len(content))


@needs_qemu
def test_a_backing_file_is_refused(tmp_path: Path) -> None:
    made(tmp_path / "base", "raw")
    content = made(tmp_path / "disk", "qcow2", "-b", str(tmp_path / "base"), "-F", "raw")
    with pytest.raises(Invalid, match="safety checks"):
        check(of(content), len(content), "qcow2", "bare")


@needs_qemu
def test_an_external_data_file_is_refused(tmp_path: Path) -> None:
    content = made(tmp_path / "disk", "qcow2", "-o", f"data_file={tmp_path}/data")
    with pytest.raises(Invalid, match="safety checks"):
        check(of(content), len(content), "qcow2", "bare")


@needs_qemu
@pytest.mark.parametrize("subformat", ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat"])
def test_a_vmdk_of_several_files_is_refused(tmp_path: Path, subformat: str) -> None:
    content = made(tmp_path / "disk", "vmdk", "-o", f"subformat={subformat}")
    with pytest.raises(Invalid, match="safety checks"):
        check(of(content), len(content), "vmdk", "bare")


@needs_qemu
@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace(b"monolithicSparse", b"monolithicFlat\0\0"),
        lambda text: text.replace(b"SPARSE", b"FLAT  "),
        lambda text: text.replace(b'"disk"', b'"/a/b"'),
        lambda text: text.replace(b"createType", b"creatType_"),
    ],
)
def test_a_forged_vmdk_descriptor_is_refused(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    content = change(made(tmp_path / "disk", "vmdk"))
    with pytest.raises(Invalid, match="safety checks"):
        check(of(content), len(content), "vmdk", "bare")


@needs_qemu
def test_bytes_that_pass_for_two_formats_are_refused(tmp_path: Path) -> None:
    content = bytearray(made(tmp_path / "disk", "qcow2"))
    content[0x8001:0x8006] = b"CD001"
    with pytest.raises(Invalid, match="iso, qcow2"):
        look(bytes(content))


@needs_qemu
def test_the_declared_format_counts(tmp_path: Path) -> None:
    content = made(tmp_path / "disk", "qcow2")
    with pytest.raises(Invalid, match="disk_format vmdk does not match stream data qcow2"):
        check(of(content), len(content), "vmdk", "bare")
    with pytest.raises(Invalid, match="disk_format ami does not match stream data qcow2"):
        check(of(content), len(content), "ami", "bare")
    assert check(of(content), len(content), "raw", "bare") == len(content)
    assert check(of(content), len(content), "vmdk", "ova") is None
    assert check(of(b"text"), 4, "ami", "bare") is None
    with pytest.raises(Invalid, match="disk_format qcow2 does not match stream data raw"):
        check(of(b"text"), 4, "qcow2", "bare")


def test_a_cut_off_header_is_no_bug() -> None:
    for magic in (b"QFI\xfb", b"KDMV", b"vhdxfile", b"conectix", b"QED\0", b"LUKS\xba\xbe"):
        look(magic)
    look(bytes(0x40) + struct.pack("<I", 0xBEDA107F))


@given(st.binary(max_size=64), st.sampled_from([b"QFI\xfb", b"KDMV", b"vhdxfile", b"conectix", b""]))
def test_any_bytes_get_an_answer(content: bytes, magic: bytes) -> None:
    for disk_format in ("qcow2", "vmdk", "vhdx", "vhd", "raw", "ami"):
        try:
            size = check(of(magic + content * 20), 20, disk_format, "bare")
        except Invalid:
            continue
        assert size is None or 0 <= size < 1 << 63
