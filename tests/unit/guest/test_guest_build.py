# SPDX-License-Identifier: Apache-2.0
"""The parts of the guest image builder that need no package."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from cumulet.guest import build, cpio, packages, recipe, root

FILES = Path(root.__file__).parent / "files"
SCRIPTS = [path for path in sorted(FILES.rglob("*")) if path.is_file() and path.read_bytes().startswith(b"#!")]


def test_an_archive_is_what_cpio_describes() -> None:
    archive = cpio.Archive()
    archive.file("a/b/c", b"hello", 0o755)
    archive.file("a/b/d", b"x")
    archive.character_device("dev/console", 5, 1)
    content = archive.finish()
    assert len(content) % 4 == 0
    assert content.startswith(b"070701")
    assert content.count(b"070701") == 7  # a, a/b, c, d, dev, dev/console, trailer
    assert b"a/b/c\0" in content
    assert b"hello" in content


def test_equal_input_gives_equal_archives() -> None:
    def make() -> bytes:
        archive = cpio.Archive()
        archive.file("a/b", b"hello")
        return archive.finish()

    assert make() == make()


def test_the_second_build_is_taken_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = packages.Versions("lists", {"linux-image-1-cloud-amd64": "1", **dict.fromkeys(recipe.PACKAGES, "1")})
    (tmp_path / "versions.json").write_bytes(msgspec.json.encode(known))
    monkeypatch.setattr(packages, "_fingerprint", lambda: "lists")
    monkeypatch.setattr(build, "_make", lambda result, *_: result.write_bytes(b"image"))
    said: list[str] = []
    build.build(tmp_path / "out" / "guest.qcow2", tmp_path, said.append)
    (tmp_path / "out" / "guest.qcow2").write_bytes(b"spoiled")
    begin = time.monotonic()
    assert build.build(tmp_path / "out" / "guest.qcow2", tmp_path, said.append).read_bytes() == b"image"
    assert time.monotonic() - begin < 0.5
    assert said == ["guest image: unchanged, from the cache"]


def test_a_machine_of_another_kind_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(packages.GuestBuildError, match="aarch64"):
        build.build(tmp_path / "guest.qcow2", tmp_path, print)


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_shell(script: Path) -> None:
    subprocess.run(["sh", "-n", str(script)], check=True)


@pytest.mark.skipif(shutil.which("awk") is None, reason="awk is not installed")
@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("public_keys", ["ssh-rsa AAAA/x== one@here", "two"]),
        ("hostname", ["name.novalocal"]),
        ("uuid", ["0-1"]),
        ("files", ["/a b", "/content/0000", "c/d", "/content/0001"]),
        ("absent", []),
    ],
)
def test_values_are_taken_from_metadata(tmp_path: Path, key: str, values: list[str]) -> None:
    document = {
        "devices": [{"hostname": "wrong", "tags": ["hostname", "uuid"]}],
        "public_keys": {'a "quoted" {name}': "ssh-rsa AAAA/x== one@here\n", "hostname": "two"},
        "hostname": "name.novalocal",
        "meta": {"uuid": "wrong", "public_keys": "wrong"},
        "uuid": "0-1",
        "files": [{"path": "/a b", "content_path": "/content/0000"}, {"path": "c/d", "content_path": "/content/0001"}],
    }
    path = tmp_path / "meta_data.json"
    path.write_text(json.dumps(document))
    words = ["awk", "-v", f"key={key}", "-f", str(FILES / "usr/libexec/guest/json.awk"), str(path)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert [line for line in done.stdout.splitlines() if line] == values
