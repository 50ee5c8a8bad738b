# SPDX-License-Identifier: Apache-2.0
"""Servers as folders: what is done to their disks and logs, and told of their host, whoever runs their QEMUs."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from cumulet.kernel.errors import NotFound
from cumulet.kernel.keyed_locks import KeyedLocks
from cumulet.services.compute.drivers.base import Capabilities, Supplies, Usage
from cumulet.services.compute.drivers.parts import Rules
from cumulet.services.compute.drivers.qemu import (
    backup,
    configdrive,
    console,
    firmware,
    host,
    overlay,
    processor,
    rescue,
    resize,
)
from cumulet.services.compute.drivers.qemu.command_line import CONSOLE_LOG
from cumulet.services.compute.drivers.qemu.drives import CONFIG_DRIVE, ROOT_DISK
from cumulet.services.compute.drivers.streams import Streams
from cumulet.services.compute.types import Display, ServerSpec, VolumeSpec

MIB = 1 << 20


class ServersInFolders(ABC):
    """The verbs of `Hypervisor` that need no running QEMU; each server has a folder of its own below `folder`."""

    def __init__(
        self,
        folder: Path,
        supplies: Supplies,
        accelerator: str,
        displays: Sequence[Display],
        cpu: tuple[str, Sequence[str]],
        rules: Rules,
    ) -> None:
        self._folder = folder.resolve()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._servers = self._folder / "servers"
        self._servers.mkdir(exist_ok=True, mode=0o700)
        self._supplies = supplies
        self._displays = displays
        self._accelerator = accelerator
        self._cpu = partial(processor.argument, *cpu)
        self._rules = rules
        self._capabilities: Capabilities | None = None
        self._streams = Streams()
        self._guard = threading.Lock()
        self._locks = KeyedLocks()

    @abstractmethod
    def adopt(self, server_id: str) -> bool:
        """See `Hypervisor.adopt`."""

    @abstractmethod
    def start(self, spec: ServerSpec) -> None:
        """See `Hypervisor.start`."""

    @abstractmethod
    def stop(self, server_id: str, timeout: float) -> None:
        """See `Hypervisor.stop`."""

    def reboot(self, spec: ServerSpec, *, soft: bool, timeout: float) -> None:
        with self._lock(spec.id):
            self.stop(spec.id, timeout if soft else 0)
            self.start(spec)

    def capabilities(self) -> Capabilities:
        with self._guard:
            if self._capabilities is None:
                self._capabilities = host.capabilities(self._folder, self._accelerator, self._cpu, self._rules)
            return self._capabilities

    def usage(self) -> Usage:
        return host.usage(self._folder)

    def build(self, spec: ServerSpec) -> None:
        with self._lock(spec.id):
            folder = self._servers / spec.id
            folder.mkdir(exist_ok=True, mode=0o700)
            if spec.image_id is not None and not (folder / ROOT_DISK).exists():
                base = self._supplies.base(spec.image_id)
                overlay.make_root(folder / ROOT_DISK, base, spec.image_format, spec.disk)
            rescue.prepare(folder, spec.rescue, self._supplies)
            firmware.prepare(folder, spec.guest)
            for disk in spec.disks:
                overlay.make_empty(folder / f"{disk.name}.qcow2", disk.size * MIB, disk.filesystem)
            if spec.config_drive is not None and not (folder / CONFIG_DRIVE).exists():
                configdrive.make(folder / CONFIG_DRIVE, spec.config_drive)

    def discard_disks(self, spec: ServerSpec, *, keep_ephemeral: bool) -> None:
        with self._lock(spec.id):
            kept = {f"{disk.name}.qcow2" for disk in spec.disks} if keep_ephemeral else set()
            overlay.discard(self._folder_of(spec.id), kept)

    def fill_volume(self, volume: VolumeSpec, image_id: str, image_format: str) -> None:
        rescue.fill_volume(self._supplies.open_volume(volume), self._supplies.base(image_id), image_format)

    def resize(self, before: ServerSpec, after: ServerSpec) -> None:
        with self._lock(after.id):
            folder = self._folder_of(after.id)
            if not self.adopt(after.id):
                resize.grow(folder, before, after)
                self.build(after)

    def revert_resize(self, before: ServerSpec, after: ServerSpec) -> None:
        with self._lock(before.id):
            resize.go_back(self._folder_of(before.id), before, after)
            self.build(before)

    def pin(self, server_id: str, folder: Path) -> None:
        backup.pin(self._servers / server_id, folder)

    def back_up_pinned(self, pinned: Path, folder: Path) -> None:
        backup.copy_closed_disks(pinned, folder)

    def root_size(self, server_id: str) -> int:
        return overlay.overlay_size(self._folder_of(server_id) / ROOT_DISK)

    def console(self, server_id: str, lines: int | None) -> bytes:
        return console.tail(self._folder_of(server_id) / CONSOLE_LOG, lines)

    def rotate(self) -> None:
        for folder in self._servers.iterdir():
            console.rotate(folder / CONSOLE_LOG)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _lock(self, server_id: str) -> AbstractContextManager[None]:
        """One piece of work at a time on each server: a monitor serves one client."""
        return self._locks.hold(server_id)

    def _folder_of(self, server_id: str) -> Path:
        folder = self._servers / server_id
        if not folder.is_dir():
            raise NotFound(f"no server {server_id} on this host", code="InstanceNotFound")
        return folder
