# SPDX-License-Identifier: Apache-2.0
"""Disks as QEMU's storage programs take them: block nodes, and the objects that these name."""

from __future__ import annotations

from typing import Any

from cumulet.services.block_storage.contract import DiskSource, FileDisk, NetworkDisk, qemu_file

KEY = "storage"  # the object with what a network disk is opened with


def node(source: DiskSource) -> dict[str, Any]:
    """The node, with its format, as `--blockdev` and `json:` take it."""
    return {"driver": source.format if isinstance(source, FileDisk) else "raw", "file": qemu_file(source, KEY)}


def objects(source: DiskSource) -> list[dict[str, Any]]:
    """What `--object` has to be told before."""
    if isinstance(source, NetworkDisk) and source.secret is not None:
        return [{"qom-type": "secret", "id": KEY, "file": str(source.secret)}]
    return []
