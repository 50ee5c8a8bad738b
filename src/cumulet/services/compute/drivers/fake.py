# SPDX-License-Identifier: Apache-2.0
"""A hypervisor without machines: complete in what it keeps and refuses, needing neither root nor QEMU.

Its servers are records in a journal, so that they outlive the agent as QEMU's processes do. A guest here acknowledges
everything at once and writes a few lines to its console at each start.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import socket
import struct
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from cumulet.kernel.errors import Conflict, NotFound
from cumulet.kernel.link.host import Journal
from cumulet.kernel.moment import Moment
from cumulet.services.compute.drivers import fake_displays, parts, traits
from cumulet.services.compute.drivers.base import (
    Capabilities,
    Diagnostics,
    DiskCounters,
    Stopped,
    Supplies,
    Usage,
)
from cumulet.services.compute.drivers.fake_machine import USUAL, FakeMachine
from cumulet.services.compute.drivers.parts import NO_RULES, Rules
from cumulet.services.compute.drivers.streams import Streams
from cumulet.services.compute.types import Display, Parts, PortSpec, PowerState, ServerSpec, VolumeSpec

GIB = 1 << 30


class _Guest(msgspec.Struct):
    """What the fake knows of one server."""

    power: int
    root_size: int
    memory: int
    vcpus: int
    console: str = ""
    started: float = 0.0
    volumes: dict[str, int] = {}
    limits: dict[str, dict[str, int]] = {}
    generations: dict[str, int] = {}
    is_suspended: bool = False
    is_discarded: bool = False
    has_agent: bool = False
    is_quiesced: bool = False
    needs_quiesce: bool = False
    interrupts: int = 0
    passwords: dict[str, str] = {}
    rescue_image: str = ""
    snapshots: dict[str, list[str]] = {}
    before: int | None = None  # the root disk's size before a resize that is not confirmed
    ports: dict[str, str] = {}
    parts: Parts = Parts()


class FakeHypervisor:
    """Servers as records. For tests: `die` is a server's end that nobody asked for, `stall` a disk without room."""

    def __init__(
        self,
        journal: Journal,
        supplies: Supplies,
        stopped: Stopped,
        machine: FakeMachine = USUAL,
        rules: Rules = NO_RULES,
    ) -> None:
        self._journal = journal
        self._supplies = supplies
        self._stopped = stopped
        self._lock = threading.RLock()
        self._streams = Streams()
        self._stalled: set[str] = set()
        self._machine = machine
        self._nodes = parts.nodes(machine.found_nodes(), rules)
        self._devices = parts.devices(machine.found_devices(), rules)
        self._gpus = parts.gpus(machine.found_gpus(), rules)

    def capabilities(self) -> Capabilities:
        return Capabilities(
            hypervisor="fake",
            version=1_000_000,
            vcpus=self._machine.cpus,
            memory=self._machine.memory,
            disk=1024,
            accelerator="fake",
            accelerator_reason="servers here are records",
            architecture="x86_64",
            cpu_model="fake",
            cpu_vendor="Cumulet",
            features=["sse", "sse2"],
            traits=traits.names(
                buses=("virtio", "scsi", "ide", "sata", "usb"),
                interfaces=("virtio", "e1000", "e1000e", "rtl8139"),
                cards=("vga", "virtio"),
                sounds=("ac97", "ich9"),
                iommus=("intel", "virtio", "auto"),
                tpm=True,
                secure_boot=True,
                addresses=True,
            ),
            max_interfaces=26,
            max_volumes=26,
            nodes=self._nodes,
            pci=self._devices,
            gpus=self._gpus,
        )

    def usage(self) -> Usage:
        with self._lock:
            guests = [self._read(server_id) for server_id in self._journal.items()]
        memory = sum(guest.memory for guest in guests if guest.power != PowerState.SHUTDOWN)
        return Usage(
            memory_used=memory, disk_used=0, load=(0.0, 0.0, 0.0), uptime=time.clock_gettime(time.CLOCK_BOOTTIME)
        )

    def build(self, spec: ServerSpec) -> None:
        with self._lock:
            known = self._read(spec.id) if self._journal.get(spec.id) is not None else None
            if known is not None and not known.is_discarded:
                self._prepare_rescue(spec)
                return
            size = spec.disk * GIB
            if spec.image_id is not None:
                length = self._supplies.base(spec.image_id).stat().st_size
                if size and length > size:
                    raise Conflict("the image is larger than the disk", code="FlavorDiskSmallerThanImage")
                size = max(size, length)
            guest = _Guest(power=PowerState.SHUTDOWN, root_size=size, memory=spec.ram, vcpus=spec.vcpus)
            guest.console = "" if known is None else known.console
            self._write(spec.id, guest)
            self._prepare_rescue(spec)

    def start(self, spec: ServerSpec) -> None:
        with self._lock:
            guest = self._read(spec.id)
            if guest.power != PowerState.SHUTDOWN:
                return
            self._check_parts(spec)
            guest.parts = spec.parts
            guest.volumes, guest.limits, guest.ports = {}, {}, {}
            guest.has_agent, guest.is_quiesced = spec.guest.agent, False
            guest.needs_quiesce = spec.guest.needs_quiesce
            for volume in spec.volumes:
                self._open_volume(guest, volume)
            for port in spec.ports:
                self._open_port(guest, port)
            guest.power = PowerState.RUNNING
            if not guest.is_suspended:
                guest.started = time.time()
                guest.console += f"a machine that is none\n{spec.vcpus} processors\n{spec.ram} MiB\n"
                guest.console += f"server {spec.id} started{' for rescue' if spec.rescue else ''}\n"
            guest.is_suspended = False
            self._write(spec.id, guest)

    def suspend(self, server_id: str) -> None:
        with self._lock:
            guest = self._read(server_id)
            if guest.is_suspended:
                return
            self._running(server_id)
            guest.is_suspended, guest.power = True, PowerState.SHUTDOWN
            self._write(server_id, guest)

    def discard_disks(self, spec: ServerSpec, *, keep_ephemeral: bool) -> None:
        """Disks here are empty: `build` says anew what there is, and keeps the console."""
        with self._lock:
            guest = self._read(spec.id)
            guest.is_discarded = True
            self._write(spec.id, guest)

    def fill_volume(self, volume: VolumeSpec, image_id: str, image_format: str) -> None:
        """Both are looked for; nothing is written, for nothing is ever read."""
        self._supplies.open_volume(volume)
        self._supplies.base(image_id)

    def interrupt(self, server_id: str) -> None:
        with self._lock:
            guest = self._running(server_id)
            guest.interrupts += 1
            guest.console += "interrupted\n"
            self._write(server_id, guest)

    def set_password(self, server_id: str, user: str, password: str) -> None:
        with self._lock:
            guest = self._running(server_id)
            guest.passwords[user] = hashlib.sha256(password.encode()).hexdigest()
            self._write(server_id, guest)

    def quiesce(self, server_id: str) -> None:
        self._hold(server_id, True)

    def unquiesce(self, server_id: str) -> None:
        self._hold(server_id, False)

    def adopt(self, server_id: str) -> bool:
        with self._lock:
            record = self._journal.get(server_id)
            return record is not None and record["power"] != PowerState.SHUTDOWN

    def stop(self, server_id: str, timeout: float) -> None:
        with self._lock:
            if self.adopt(server_id):
                self._set_power(server_id, PowerState.SHUTDOWN)
            elif self._journal.get(server_id) is not None:
                guest = self._read(server_id)
                guest.is_suspended = False
                self._write(server_id, guest)

    def reboot(self, spec: ServerSpec, *, soft: bool, timeout: float) -> None:
        with self._lock:
            self.stop(spec.id, timeout if soft else 0)
            self.start(spec)

    def pause(self, server_id: str) -> None:
        with self._lock:
            self._running(server_id)
            self._set_power(server_id, PowerState.PAUSED)

    def stall(self, server_id: str) -> None:
        with self._lock:
            self.pause(server_id)
            self._stalled.add(server_id)

    def stalled(self) -> list[str]:
        with self._lock:
            return sorted(each for each in self._stalled if self.power(each) is PowerState.PAUSED)

    def unpause(self, server_id: str) -> None:
        with self._lock:
            self._running(server_id)
            self._stalled.discard(server_id)
            self._set_power(server_id, PowerState.RUNNING)

    def destroy(self, server_id: str) -> None:
        self._streams.end(server_id)
        with self._lock:
            self._journal.delete(server_id)

    def attach_disk(self, server_id: str, volume: VolumeSpec) -> None:
        with self._lock:
            guest = self._read(server_id)
            if guest.power != PowerState.SHUTDOWN:
                self._open_volume(guest, volume)
                self._write(server_id, guest)

    def detach_disk(self, server_id: str, volume_id: str) -> None:
        with self._lock:
            if self.adopt(server_id):
                guest = self._read(server_id)
                guest.volumes.pop(volume_id, None)
                guest.limits.pop(volume_id, None)
                self._write(server_id, guest)

    def swap_disk(self, server_id: str, volume_id: str, volume: VolumeSpec, *, settle: bool = False) -> bool:
        with self._lock:
            if settle:
                return self.adopt(server_id) and volume.volume_id in self._read(server_id).volumes
            guest = self._running(server_id)
            if volume.volume_id not in guest.volumes:
                self._opened(guest, volume_id)
                self._open_volume(guest, volume)
            guest.volumes.pop(volume_id, None)
            guest.limits.pop(volume_id, None)
            self._write(server_id, guest)
            return True

    def move_disk(self, server_id: str, volume: VolumeSpec, moved: Callable[[], object]) -> None:
        with self._lock:
            guest = self._running(server_id)
            self._opened(guest, volume.volume_id)
            self._supplies.open_volume(volume)
            guest.generations[volume.volume_id] = volume.generation
            self._write(server_id, guest)
            moved()

    def has_moved(self, server_id: str, volume: VolumeSpec) -> bool:
        with self._lock:
            return self._running(server_id).generations.get(volume.volume_id) == volume.generation

    def limit_disk(self, server_id: str, volume: VolumeSpec) -> None:
        with self._lock:
            if self.adopt(server_id) and volume.volume_id in self.limits(server_id):
                guest = self._read(server_id)
                guest.limits[volume.volume_id] = volume.limits
                self._write(server_id, guest)

    def limits(self, server_id: str) -> dict[str, dict[str, int]]:
        """For tests: what each open volume is kept to."""
        with self._lock:
            return self._read(server_id).limits

    def attach_port(self, server_id: str, port: PortSpec) -> None:
        with self._lock:
            guest = self._read(server_id)
            if guest.power != PowerState.SHUTDOWN and port.id not in guest.ports:
                self._open_port(guest, port)
                self._write(server_id, guest)

    def detach_port(self, server_id: str, port_id: str) -> None:
        with self._lock:
            if self.adopt(server_id):
                guest = self._read(server_id)
                guest.ports.pop(port_id, None)
                self._write(server_id, guest)

    def resize(self, before: ServerSpec, after: ServerSpec) -> None:
        with self._lock:
            guest = self._read(after.id)
            if guest.power != PowerState.SHUTDOWN:
                return
            if after.image_id is not None and after.disk and after.disk * GIB < guest.root_size:
                raise Conflict("Unable to resize disk down.", code="ResizeError")
            sizes = {disk.name: disk.size for disk in after.disks}
            if any(sizes.get(disk.name, 0) < disk.size for disk in before.disks if disk.name != "swap"):
                raise Conflict("Unable to resize disk down.", code="ResizeError")
            if guest.before is None:
                guest.before = guest.root_size
            guest.root_size = max(guest.root_size, after.disk * GIB)
            guest.memory, guest.vcpus = after.ram, after.vcpus
            self._write(after.id, guest)

    def confirm_resize(self, server_id: str) -> None:
        with self._lock:
            guest = self._read(server_id)
            guest.before = None
            self._write(server_id, guest)

    def revert_resize(self, before: ServerSpec, after: ServerSpec) -> None:
        with self._lock:
            guest = self._read(before.id)
            if guest.before is not None:
                guest.root_size, guest.before = guest.before, None
                guest.memory, guest.vcpus = before.ram, before.vcpus
                self._write(before.id, guest)

    def resize_disk(self, server_id: str, volume_id: str, size: int) -> None:
        with self._lock:
            guest = self._running(server_id)
            self._opened(guest, volume_id)
            guest.volumes[volume_id] = size
            self._write(server_id, guest)

    def snapshot_disk(self, server_id: str, volume_id: str, name: str) -> None:
        with self._lock:
            guest = self._running(server_id)
            self._opened(guest, volume_id)
            taken = guest.snapshots.setdefault(volume_id, [])
            if name not in taken:
                taken.append(name)
            self._write(server_id, guest)

    def drop_disk_snapshot(self, server_id: str, volume_id: str, name: str) -> None:
        with self._lock:
            guest = self._running(server_id)
            self._opened(guest, volume_id)
            guest.snapshots[volume_id] = [each for each in guest.snapshots.get(volume_id, []) if each != name]
            self._write(server_id, guest)

    def copy_disk(self, server_id: str, volume_id: str, target: Path, target_format: str) -> None:
        """The target is there in the right size: what a disk that nobody writes to holds."""
        with self._lock:
            self._opened(self._running(server_id), volume_id)

    def copy_disks(
        self, server_id: str, targets: Mapping[str, Path], target_format: str, moment: Moment | None = None
    ) -> None:
        with self._lock:
            for volume_id in targets:
                self._opened(self._running(server_id), volume_id)
        if moment is not None:
            moment.ready()
            moment.still()
            moment.begun()

    def copy_root(self, server_id: str, target: Path) -> None:
        with self._lock:
            guest = self._read(server_id)
            if guest.power != PowerState.SHUTDOWN and guest.needs_quiesce:
                self._check_agent(guest)
            target.write_bytes(_empty_qcow2(guest.root_size))

    def pin(self, server_id: str, folder: Path) -> None:
        """All that there is stands in the journal."""

    def back_up(self, spec: ServerSpec, folder: Path, volumes: Mapping[str, Path]) -> None:
        with self._lock:
            if volumes and self._read(spec.id).power == PowerState.SHUTDOWN:
                raise Conflict("the server does not run", code="InstanceNotRunning")
            for volume_id, target in volumes.items():
                # Guests of the fake write nothing, so a plain copy is as of one moment.
                shutil.copyfile(self._supplies.open_volume(VolumeSpec(volume_id=volume_id)).path, target)

    def back_up_pinned(self, pinned: Path, folder: Path) -> None:
        """Nothing was pinned."""

    def root_size(self, server_id: str) -> int:
        with self._lock:
            return self._read(server_id).root_size

    def console(self, server_id: str, lines: int | None) -> bytes:
        with self._lock:
            text = self._read(server_id).console.encode()
        if lines is None or lines < 0:
            return text
        return b"".join(text.splitlines(keepends=True)[-lines:]) if lines else b""

    def displays(self, server_id: str) -> tuple[Display, ...]:
        with self._lock:
            self._read(server_id)
        return "vnc", "serial"

    def open_display(self, server_id: str, display: Display) -> socket.socket:
        with self._lock:
            guest = self._running(server_id)
        if display not in self.displays(server_id):
            raise Conflict(f"the server has no {display} console", code="ConsoleTypeUnavailable")
        stream = fake_displays.open_display(server_id, display, guest.console)
        return self._streams.add(server_id, display, stream)

    def rotate(self) -> None:
        with self._lock:
            for server_id in self._journal.items():
                guest = self._read(server_id)
                if len(guest.console) > 65536:
                    guest.console = guest.console[-32768:]
                    self._write(server_id, guest)

    def diagnostics(self, server_id: str) -> Diagnostics:
        with self._lock:
            guest = self._running(server_id)
        uptime = int(time.time() - guest.started)
        idle = DiskCounters(read_bytes=0, read_requests=0, write_bytes=0, write_requests=0)
        return Diagnostics(
            uptime=uptime,
            memory=guest.memory,
            memory_used=guest.memory,
            cpu_times=[0] * guest.vcpus,
            disks=[idle] * (len(guest.volumes) + (1 if guest.root_size else 0)),
            macs=sorted(guest.ports.values()),
        )

    def power(self, server_id: str) -> PowerState:
        with self._lock:
            record = self._journal.get(server_id)
            return PowerState.NOSTATE if record is None else PowerState(record["power"])

    def list(self) -> dict[str, PowerState]:
        with self._lock:
            return {server_id: PowerState(record["power"]) for server_id, record in self._journal.items().items()}

    def close(self) -> None:
        """Nothing is held."""

    def die(self, server_id: str, reason: str = "killed") -> None:
        """The server ends by itself (`guest`) or is killed."""
        with self._lock:
            self._set_power(server_id, PowerState.SHUTDOWN)
        self._stopped(server_id, reason)

    def _prepare_rescue(self, spec: ServerSpec) -> None:
        guest, wanted = self._read(spec.id), "" if spec.rescue is None else spec.rescue.image_id
        if guest.rescue_image != wanted:
            if wanted:
                self._supplies.base(wanted)
            guest.rescue_image = wanted
            self._write(spec.id, guest)

    def _hold(self, server_id: str, held: bool) -> None:
        with self._lock:
            guest = self._running(server_id)
            self._check_agent(guest)
            guest.is_quiesced = held
            self._write(server_id, guest)

    def _check_agent(self, guest: _Guest) -> None:
        if not guest.has_agent:
            raise Conflict("QEMU guest agent is not enabled", code="QemuGuestAgentNotEnabled")

    def _open_volume(self, guest: _Guest, volume: VolumeSpec) -> None:
        disk = self._supplies.open_volume(volume)
        size = 0
        with contextlib.suppress(FileNotFoundError):
            size = Path(disk.path).stat().st_size
        guest.volumes.setdefault(volume.volume_id, size)
        guest.limits[volume.volume_id] = volume.limits
        guest.generations[volume.volume_id] = volume.generation

    def _open_port(self, guest: _Guest, port: PortSpec) -> None:
        for _queue in range(0 if port.passed or port.socket else port.queues):
            tap = self._supplies.open_tap(port.id, multi_queue=port.queues > 1)
            if tap >= 0:
                os.close(tap)
        guest.ports[port.id] = port.mac

    def _running(self, server_id: str) -> _Guest:
        guest = self._read(server_id)
        if guest.power == PowerState.SHUTDOWN:
            raise Conflict("the server does not run", code="InstanceNotRunning")
        return guest

    def _opened(self, guest: _Guest, volume_id: str) -> None:
        if volume_id not in guest.volumes:
            raise Conflict(f"volume {volume_id} is not open here", code="HypervisorFailed")

    def _set_power(self, server_id: str, power: PowerState) -> None:
        guest = self._read(server_id)
        guest.power = power
        if power is PowerState.SHUTDOWN:
            self._streams.end(server_id)
        self._write(server_id, guest)

    def _check_parts(self, spec: ServerSpec) -> None:
        """Conflict where the machine has not all of the server's parts, or a server that runs has one of them."""
        if spec.parts.is_empty:
            return
        cpus, addresses = parts.taken(spec.parts)
        others = [self._read(each) for each in self._journal.items() if each != spec.id]
        for other in others:
            if other.power != PowerState.SHUTDOWN:
                their_cpus, their_addresses = parts.taken(other.parts)
                if cpus & their_cpus or addresses & their_addresses:
                    raise Conflict("a part of the host is another server's", code="HypervisorFailed")
        there = {cpu for node in self._nodes for cpu in node.dedicated}
        known = {each.address for each in self._devices}
        if not (cpus <= there and addresses <= known):
            raise Conflict("the host has not all parts that the server is to have", code="HypervisorFailed")

    def _read(self, server_id: str) -> _Guest:
        record = self._journal.get(server_id)
        if record is None:
            raise NotFound(f"no server {server_id} on this host", code="InstanceNotFound")
        return msgspec.convert(record, _Guest)

    def _write(self, server_id: str, guest: _Guest) -> None:
        self._journal.put(server_id, msgspec.to_builtins(guest))


def _empty_qcow2(size: int) -> bytes:
    """A qcow2 file (version 3, clusters of 64 KiB) of `size` bytes in which nothing was written yet."""
    cluster = 1 << 16
    entries = max(1, -(-size // (cluster * cluster // 8)))
    table_clusters = -(-entries * 8 // cluster)
    # header, reference table, one reference block, first level table
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        b"QFI\xfb",
        3,
        0,
        0,
        16,
        size,
        0,
        entries,
        3 * cluster,
        cluster,
        1,
        0,
        0,
        0,
        0,
        0,
        4,
        104,
    )
    counts = struct.pack(">H", 1) * (3 + table_clusters)
    parts = [header, struct.pack(">Q", 2 * cluster), counts, bytes(entries * 8)]
    return b"".join(part.ljust(-(-len(part) // cluster) * cluster, b"\0") for part in parts)
