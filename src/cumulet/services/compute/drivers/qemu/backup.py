# SPDX-License-Identifier: Apache-2.0
"""What of a server's folder goes into a backup, and how each disk is copied."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from cumulet.kernel.backup.keeper import pin_file
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.qemu import memory, overlay, tpm
from cumulet.services.compute.drivers.qemu.command_line import (
    CONSOLE_LOG,
    local_node,
    volume_node,
)
from cumulet.services.compute.drivers.qemu.drives import CONFIG_DRIVE, ROOT_DISK
from cumulet.services.compute.drivers.qemu.firmware import VARIABLES
from cumulet.services.compute.types import ServerSpec

DISKS = "*.qcow2"


def pin(server: Path, folder: Path) -> None:
    """Link the disks in the folder `server`. A linked overlay keeps the image below it from being dropped as well."""
    folder.mkdir(parents=True, mode=0o700)
    for path in server.glob(DISKS):
        pin_file(path, folder / path.name)


def live_copies(spec: ServerSpec, server: Path, folder: Path, volumes: Mapping[str, Path]) -> dict[str, Disk]:
    """Where each block node of a running server is to be copied to; the files are made, empty."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    nodes = {"root": ROOT_DISK} if spec.image_id is not None else {}
    nodes.update({local_node(disk.name): f"{disk.name}.qcow2" for disk in spec.disks})
    for name in nodes.values():
        (folder / name).unlink(missing_ok=True)
        overlay.make_empty(folder / name, overlay.overlay_size(server / name))
    targets = {node: folder / name for node, name in nodes.items()}
    targets.update({volume_node(volume_id): path for volume_id, path in volumes.items()})
    return {node: Disk(path=str(path), format="qcow2") for node, path in targets.items()}


def copy_closed_disks(server: Path, folder: Path) -> None:
    """Copy disks that nobody has open."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for path in server.glob(DISKS):
        overlay.copy(path, folder / path.name, "qcow2")


def copy_rest(server: Path, folder: Path) -> None:
    """Copy the config drive, what the guest said, kept memory, the firmware's variables and the TPM."""
    for name in (CONFIG_DRIVE, CONSOLE_LOG, memory.FILE, VARIABLES):
        if (server / name).exists():
            shutil.copyfile(server / name, folder / name)
    if (server / tpm.STATE).exists():
        shutil.copytree(server / tpm.STATE, folder / tpm.STATE, dirs_exist_ok=True)
