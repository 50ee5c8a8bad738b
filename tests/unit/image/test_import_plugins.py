# SPDX-License-Identifier: Apache-2.0
"""What is done to imported data on the way: unpacking, converting, writing words, and what others bring along."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from cumulet import settings as settings_module
from cumulet.kernel import run
from cumulet.kernel.errors import Invalid, TooLarge, Unsupported
from cumulet.services.image.contract import Outcome, Work
from cumulet.services.image.logic import plugins

MIB = 1 << 20


@pytest.fixture
def work(tmp_path: Path) -> Callable[..., Work]:
    def make(data: bytes, chosen: Mapping[str, str] | None = None, **more: Any) -> Work:
        source = tmp_path / "data"
        source.write_bytes(data)
        words = {f"image_import.{name}": value for name, value in (chosen or {}).items()}
        given = {
            "image_id": "1",
            "data": source,
            "target": tmp_path / "target",
            "disk_format": "raw",
            "container_format": "bare",
            "properties": {},
            "roles": frozenset({"member"}),
            "largest": 10 * MIB,
            "settings": settings_module.load(environ={}, overrides={"state": str(tmp_path), **words}),
            "tell": lambda done: None,
        }
        return Work(**{**given, **more})

    return make


def zipped(**files: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return sink.getvalue()


def lha(name: bytes, data: bytes) -> bytes:
    """An LHA archive (header level 0) of one file, stored as it is."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    rest = (
        b"-lh0-" + struct.pack("<IIIBBB", len(data), len(data), 0, 0x20, 0, len(name)) + name + struct.pack("<H", crc)
    )
    return bytes([len(rest), sum(rest) & 0xFF]) + rest + data + b"\0"


@pytest.mark.parametrize(
    "packed", [gzip.compress(b"content" * 1000), zipped(disk=b"content" * 1000)], ids=["gzip", "zip"]
)
def test_packed_data_are_unpacked(work: Callable[..., Work], packed: bytes) -> None:
    given = work(packed)
    assert plugins.find("image_decompression")(given) == Outcome(replaced=True)
    assert given.target.read_bytes() == b"content" * 1000
    assert given.data.read_bytes() == packed  # after a crash it is done again


def test_what_is_not_packed_or_meant_to_be_stays(work: Callable[..., Work]) -> None:
    unpack = plugins.find("image_decompression")
    assert unpack(work(b"plain")) == Outcome()
    assert unpack(work(b"")) == Outcome()
    assert unpack(work(gzip.compress(b"x"), container_format="compressed")) == Outcome()


@pytest.mark.parametrize(
    ("packed", "says"),
    [
        (gzip.compress(b"x" * 1000)[:-9], "gzip"),
        (b"\x1f\x8b\x08" + b"no gzip at all", "gzip"),
        (zipped(one=b"1", two=b"2"), "more than one file"),
        (zipped(one=b"1" * 100)[:40], "zip"),
        (b"PK\x03\x04", "zip"),
    ],
    ids=["gzip cut off", "no gzip", "zip of two", "zip cut off", "no zip"],
)
def test_damaged_archives_are_refused(work: Callable[..., Work], packed: bytes, says: str) -> None:
    with pytest.raises(Invalid, match=says):
        plugins.find("image_decompression")(work(packed))


@pytest.mark.parametrize("packed", [gzip.compress(bytes(11 * MIB)), zipped(bomb=bytes(11 * MIB))], ids=["gzip", "zip"])
def test_a_bomb_does_not_go_off(work: Callable[..., Work], packed: bytes) -> None:
    given = work(packed)
    with pytest.raises(TooLarge):
        plugins.find("image_decompression")(given)
    assert given.target.stat().st_size <= given.largest


def test_lha_is_unpacked_where_the_program_is(work: Callable[..., Work], monkeypatch: pytest.MonkeyPatch) -> None:
    unpack = plugins.find("image_decompression")
    if shutil.which("lha"):
        given = work(lha(b"..\\disk", b"content"))
        assert unpack(given) == Outcome(replaced=True)
        assert given.target.read_bytes() == b"content"
        with pytest.raises(Invalid, match=r"LHA|more than one"):
            unpack(work(lha(b"disk", b"content")[:30]))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Invalid, match="No lhafile available"):
        unpack(work(lha(b"disk", b"content")))


def image_of(tmp_path: Path, kind: str, *more: str) -> bytes:
    path = tmp_path / f"made.{kind}"
    run.run(["qemu-img", "create", "-q", "-f", kind, *more, path, "1M"])
    return path.read_bytes()


def test_images_are_converted(work: Callable[..., Work], tmp_path: Path) -> None:
    convert = plugins.find("image_conversion")
    given = work(image_of(tmp_path, "qcow2"), disk_format="qcow2", container_format="ovf")
    done = Outcome(replaced=True, disk_format="raw", container_format="bare")
    assert convert(given) == done
    assert convert(given) == done
    assert given.target.stat().st_size == MIB
    assert convert(work(bytes(MIB), {"output_format": "qcow2"})).disk_format == "qcow2"
    assert given.target.read_bytes()[:4] == b"QFI\xfb"
    assert convert(work(bytes(MIB))) == Outcome()


def test_images_that_are_not_what_they_seem_are_not_converted(work: Callable[..., Work], tmp_path: Path) -> None:
    convert = plugins.find("image_conversion")
    qcow2 = image_of(tmp_path, "qcow2")
    with pytest.raises(Invalid, match="does not match"):
        convert(work(qcow2, {"output_format": "qcow2"}))
    with pytest.raises(Invalid, match="does not match"):
        convert(work(bytes(MIB), disk_format="qcow2"))
    (tmp_path / "secret").write_bytes(bytes(MIB))
    backed = image_of(tmp_path, "qcow2", "-F", "raw", "-b", str(tmp_path / "secret"))
    with pytest.raises(Invalid):
        convert(work(backed, disk_format="qcow2"))
    with pytest.raises(Invalid, match="cannot be converted"):
        convert(work(b"kernel", disk_format="aki"))


def test_a_format_hidden_in_another_comes_to_light(work: Callable[..., Work], tmp_path: Path) -> None:
    inner = image_of(tmp_path, "qcow2")
    (tmp_path / "inner").write_bytes(inner + bytes(MIB - len(inner) % 512))
    outer = tmp_path / "outer"
    run.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", tmp_path / "inner", outer])
    with pytest.raises(Invalid, match="does not match"):
        plugins.find("image_conversion")(work(outer.read_bytes(), disk_format="qcow2"))


def test_words_are_written_on_the_images_of_ordinary_users(work: Callable[..., Work]) -> None:
    inject = plugins.find("inject_image_metadata")
    chosen = {"inject": "one:1, two: b:c", "ignore_user_roles": "admin,boss"}
    assert inject(work(b"", chosen)) == Outcome(properties={"one": "1", "two": "b:c"})
    assert inject(work(b"", chosen, roles=frozenset({"member", "boss"}))) == Outcome()


def test_other_packages_bring_plugins_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unsupported, match="scan"):
        plugins.find("scan")
    (tmp_path / "their_package.py").write_text("def scan(work):\n    return work\n")
    (tmp_path / "their_package-1.0.dist-info").mkdir()
    (tmp_path / "their_package-1.0.dist-info" / "METADATA").write_text("Name: their-package\nVersion: 1.0\n")
    points = f"[{plugins.GROUP}]\nscan = their_package:scan\n"
    (tmp_path / "their_package-1.0.dist-info" / "entry_points.txt").write_text(points)
    monkeypatch.syspath_prepend(tmp_path)
    found: Any = plugins.find("scan")
    assert found("theirs") == "theirs"
