# SPDX-License-Identifier: Apache-2.0
"""Images for Tempest to upload and import: harmless ones that qemu-img made, and those that attack who opens them."""

from __future__ import annotations

import io
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pycdlib
import yaml

from support.hostile_images import ATTACKS

SIZE = 1 << 20  # bytes of a disk
# By the name that the judge knows the image by: its format, as Glance calls it, and what makes qemu-img write it.
USABLE = {
    "qcow2": ("qcow2", ("-f", "qcow2")),
    "qcow2-compat-0.10": ("qcow2", ("-f", "qcow2", "-o", "compat=0.10")),
    "raw": ("raw", ("-f", "raw")),
    "vdi": ("vdi", ("-f", "vdi")),
    "vhd": ("vhd", ("-f", "vpc")),
    "vhdx": ("vhdx", ("-f", "vhdx")),
    "vmdk-sparse": ("vmdk", ("-f", "vmdk", "-o", "subformat=monolithicSparse")),
    "vmdk-stream-with-footer": ("vmdk", ("-f", "vmdk", "-o", "subformat=streamOptimized")),
}


def write(folder: Path) -> Path:
    """Write the images into `folder`, with the manifest that Tempest reads; its path."""
    folder.mkdir()
    manifest = folder / "manifest.yaml"
    manifest.write_text(yaml.safe_dump({"images": [*_usable(folder), *_hostile(folder)]}))
    return manifest


def _usable(folder: Path) -> Iterator[dict[str, Any]]:
    for name, (kind, words) in USABLE.items():
        subprocess.run(["qemu-img", "create", "-q", *words, folder / name, str(SIZE)], check=True)
        yield _entry(name, kind, usable=True)
    iso = pycdlib.PyCdlib()
    iso.new()
    iso.add_fp(io.BytesIO(b"content"), 7, "/FILE.;1")
    iso.write(str(folder / "iso"))
    iso.close()
    yield _entry("iso", "iso", usable=True)


def _hostile(folder: Path) -> Iterator[dict[str, Any]]:
    for attack in ATTACKS:
        name = re.sub(r"[^a-z0-9]+", "-", attack.name.lower())
        (folder / name).write_bytes(attack.content)
        yield _entry(name, attack.declared[0], usable=False)


def _entry(name: str, kind: str, *, usable: bool) -> dict[str, Any]:
    return {"name": name, "filename": name, "format": kind, "usable": usable}
