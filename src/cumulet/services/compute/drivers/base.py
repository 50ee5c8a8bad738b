# SPDX-License-Identifier: Apache-2.0
"""What a hypervisor can do: the Protocol that every driver answers, and its capabilities as data."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import msgspec

from cumulet.kernel.moment import Moment
from cumulet.services.block_storage.contract import DiskSource, FileDisk, NetworkSource
from cumulet.services.compute.types import (
    Display,
    Gpu,
    HostNode,
    PciDevice,
    PortSpec,
    PowerState,
    ServerSpec,
    VolumeSpec,
)

# A server's run ended and nobody here asked for it: its id, and why ("guest", "killed").
Stopped = Callable[[str, str], None]


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a host offers; `memory` in MiB, `disk` in GiB.

    `version` is major * 1000000 + minor * 1000 + micro, as the API shows it. `features` are names of CPU features
    (`avx2`), `traits` placement's names for what else guests can have here. `accelerator` is `kvm`, `tcg` or `fake`,
    `accelerator_reason` says why it was chosen. `nodes` are its NUMA nodes, `pci` and `gpus` the devices that servers
    may have.
    """

    hypervisor: str
    version: int
    vcpus: int
    memory: int
    disk: int
    accelerator: str
    accelerator_reason: str
    architecture: str
    cpu_model: str
    cpu_vendor: str
    features: list[str]
    traits: list[str] = []
    max_interfaces: int
    max_volumes: int
    nodes: list[HostNode] = []
    pci: list[PciDevice] = []
    gpus: list[Gpu] = []


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a host spends at this moment; MiB and GiB."""

    memory_used: int
    disk_used: int
    load: tuple[float, float, float]
    uptime: float


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """Where a volume is opened: a path and its format (`qcow2`, `raw`), or another `source`, which is always raw.

    With a `key` it is a LUKS container, and that is its passphrase: for the hypervisor's memory alone.
    """

    path: str = ""
    format: str = "raw"
    source: DiskSource | NetworkSource | None = None
    key: str = ""

    @classmethod
    def of(cls, source: DiskSource | NetworkSource, key: str = "") -> Disk:
        """What block storage says, as a hypervisor opens it."""
        if isinstance(source, FileDisk):
            return cls(path=str(source.path), format=source.format, key=key)
        return cls(source=source, key=key)

    def __repr__(self) -> str:
        return f"Disk(path={self.path!r}, format={self.format!r}, source={self.source!r})"


class Supplies(Protocol):
    """What a hypervisor takes from the other parts of its host.

    Each may raise NotFound (not here) or NotReady (not now).
    """

    def base(self, image_id: str) -> Path:
        """The local copy of an image; read only."""

    def open_tap(self, port_id: str, *, multi_queue: bool = False) -> int:
        """A file descriptor of the port's tap device, owned by the caller; of a `multi_queue` one, a further queue."""

    def close_tap(self, port_id: str) -> None:
        """The port is not used by any server of this host from now on."""

    def open_volume(self, volume: VolumeSpec, *, served: bool = False) -> Disk:
        """Where the volume is opened; one that is `served` over the network, also where it is this host's own."""


class Hypervisor(Protocol):
    """Servers on one host. Every verb may block, may come from any thread, and does nothing where all is done already.

    Errors: NotFound (no such server here), Conflict (the guest or the state forbids it; `code` names the case),
    NotReady (the hypervisor does not answer).
    """

    def capabilities(self) -> Capabilities:
        """What this host offers; found once, then kept."""

    def usage(self) -> Usage:
        """What it spends now."""

    def build(self, spec: ServerSpec) -> None:
        """Make the disks that the server lacks, that of its rescue too, and take away one of a rescue that ended.

        Does not start it. An image is needed only for a disk that is not there yet.
        """

    def start(self, spec: ServerSpec) -> None:
        """See that the server runs: start it, let it go on where `suspend` held it, or take up one that runs already.

        Conflict where kept memory cannot be taken up; it is kept then.
        """

    def suspend(self, server_id: str) -> None:
        """Keep the running server's memory in a file and end its run, for `start` to go on; `stop` drops the file.

        Nothing happens where that is done already. Conflict where the server does not run; where the memory cannot be
        kept it runs on.
        """

    def discard_disks(self, spec: ServerSpec, *, keep_ephemeral: bool) -> None:
        """Throw away what `build` made of a server that does not run, with or without its ephemeral disks."""

    def fill_volume(self, volume: VolumeSpec, image_id: str, image_format: str) -> None:
        """Write an image over a volume that no server has open. Conflict where the image is larger."""

    def interrupt(self, server_id: str) -> None:
        """Send the running guest the interrupt (NMI) upon which systems write a dump of themselves."""

    def set_password(self, server_id: str, user: str, password: str) -> None:
        """Have the guest's agent set a user's password; Conflict where no agent answers (`QemuGuestAgentNotEnabled`)
        or the guest refuses (`InstancePasswordSetFailed`)."""

    def quiesce(self, server_id: str) -> None:
        """Have the running guest's agent hold its file systems, all written out, until `unquiesce`.

        Conflict where no agent answers (`QemuGuestAgentNotEnabled`) or the guest refuses (`InstanceQuiesceFailed`).
        """

    def unquiesce(self, server_id: str) -> None:
        """Let the file systems go on; nothing happens where they do."""

    def adopt(self, server_id: str) -> bool:
        """Take up a server that runs already, such as one started before the agent; False where it does not."""

    def stop(self, server_id: str, timeout: float) -> None:
        """Press the power button, wait up to `timeout` seconds, then take the power away (at once where it is 0).

        The memory of a suspended server is dropped.
        """

    def reboot(self, spec: ServerSpec, *, soft: bool, timeout: float) -> None:
        """Stop and start; `soft` presses the power button first and waits up to `timeout` seconds."""

    def pause(self, server_id: str) -> None:
        """Hold the processors. Conflict where the server does not run."""

    def unpause(self, server_id: str) -> None:
        """Let them go on. Conflict where the server does not run."""

    def destroy(self, server_id: str) -> None:
        """End the server and remove all that was made for it here; its ports are not closed."""

    def attach_disk(self, server_id: str, volume: VolumeSpec) -> None:
        """Plug the volume into the running server; nothing happens to one that does not run."""

    def detach_disk(self, server_id: str, volume_id: str) -> None:
        """Unplug it; Conflict (`DeviceDetachFailed`) where the guest does not let go in time."""

    def swap_disk(self, server_id: str, volume_id: str, volume: VolumeSpec, *, settle: bool = False) -> bool:
        """Put `volume`, with the content of the volume `volume_id`, in its place in the running server; True.

        The guest notices nothing but a disk that may be larger. Conflict where the server does not run, has neither, or
        the new one is smaller. To `settle` what was interrupted nothing is begun: whether the server has the new one.
        """

    def move_disk(self, server_id: str, volume: VolumeSpec, moved: Callable[[], object]) -> None:
        """Put the disk `volume` in the place of the one on which the running server has this volume, with its content.

        Both are alike, on stable storage, and the guest stands still when `moved()` is called; if that fails the guest
        is left so. What was interrupted is begun anew. Conflict where the server does not run or has not the volume,
        or where the disk is of another size or cannot be written.
        """

    def has_moved(self, server_id: str, volume: VolumeSpec) -> bool:
        """Whether the running server has the volume on the disk `volume`; the other one is closed then."""

    def limit_disk(self, server_id: str, volume: VolumeSpec) -> None:
        """Keep the running server's volume to its `limits` from now on; nothing happens where it has not got it.

        Those of a volume that is plugged in, or with which a server starts, need not be asked for.
        """

    def attach_port(self, server_id: str, port: PortSpec) -> None:
        """Plug a network interface into the running server."""

    def detach_port(self, server_id: str, port_id: str) -> None:
        """Unplug it, as with disks."""

    def resize(self, before: ServerSpec, after: ServerSpec) -> None:
        """Make the disks and the size of a server that does not run those of `after`; what they were is kept.

        Nothing happens to one that runs. Conflict (`ResizeError`) where a disk would shrink.
        """

    def confirm_resize(self, server_id: str) -> None:
        """What the server was before `resize` is not wanted any more; it may run."""

    def revert_resize(self, before: ServerSpec, after: ServerSpec) -> None:
        """Make a server that does not run what it was before `resize`."""

    def resize_disk(self, server_id: str, volume_id: str, size: int) -> None:
        """The volume has `size` bytes from now on; the server must run."""

    def snapshot_disk(self, server_id: str, volume_id: str, name: str) -> None:
        """Take an internal snapshot of a qcow2 volume of the running server; one of this name is enough."""

    def drop_disk_snapshot(self, server_id: str, volume_id: str, name: str) -> None:
        """Forget an internal snapshot of the running server's volume; nothing happens where there is none."""

    def copy_disk(self, server_id: str, volume_id: str, target: Path, target_format: str) -> None:
        """Write a consistent copy of a volume of the running server to `target`, which exists in the right size."""

    def copy_disks(
        self, server_id: str, targets: Mapping[str, Path], target_format: str, moment: Moment | None = None
    ) -> None:
        """As `copy_disk` for several volumes, by id, all as of one moment.

        For a `moment` that is shared with others the server is paused.
        """

    def copy_root(self, server_id: str, target: Path) -> None:
        """Make `target` a consistent qcow2 copy of the root disk of a server, running or not."""

    def pin(self, server_id: str, folder: Path) -> None:
        """For a backup: link the server's disks below `folder`, so that they can be copied though it is destroyed."""

    def back_up(self, spec: ServerSpec, folder: Path, volumes: Mapping[str, Path]) -> None:
        """Copy what `build` made of a server, and of a running one its open volumes, as of one moment.

        The server's own files go to `folder`, where they are what a server's folder holds; each volume to its path,
        an empty qcow2 file of its size. A root disk's copy stands on no image. Conflict (`InstanceNotRunning`) where
        there are volumes though the server does not run.
        """

    def back_up_pinned(self, pinned: Path, folder: Path) -> None:
        """The same of a server that was destroyed after it was pinned."""

    def root_size(self, server_id: str) -> int:
        """The size of the root disk in bytes."""

    def console(self, server_id: str, lines: int | None) -> bytes:
        """The end of what the guest wrote to its serial console: `lines` of it, or all that is kept."""

    def displays(self, server_id: str) -> tuple[Display, ...]:
        """By which consoles the server can be used, running or not. NotFound where it is not here."""

    def open_display(self, server_id: str, display: Display) -> socket.socket:
        """A new stream to a console of the running server, which the caller closes.

        VNC needs no password there. The serial port has one user at a time: a new one takes it over. Conflict where
        the server does not run (`InstanceNotRunning`) or has no such console (`ConsoleTypeUnavailable`).
        """

    def stalled(self) -> list[str]:
        """The running servers that are held since a disk of theirs has no room for what they write.

        Their power is `PAUSED`; `unpause` has them write again, and they are held again where there is no room yet.
        """

    def rotate(self) -> None:
        """Keep the logs of all servers inside their limits; called now and then."""

    def diagnostics(self, server_id: str) -> Diagnostics:
        """Counters of the running server."""

    def power(self, server_id: str) -> PowerState:
        """What the server does now; NOSTATE where there is none."""

    def list(self) -> dict[str, PowerState]:
        """All servers that exist here, whether anybody knows of them or not."""

    def close(self) -> None:
        """The agent is leaving: let go of sockets and threads, leave the servers running."""


class DiskCounters(msgspec.Struct, frozen=True, kw_only=True):
    """A disk's counters since the server started."""

    read_bytes: int
    read_requests: int
    write_bytes: int
    write_requests: int
    errors: int = 0


class Diagnostics(msgspec.Struct, frozen=True, kw_only=True):
    """A running server's counters: `cpu_times` in nanoseconds a processor, memory in MiB, `uptime` in seconds."""

    uptime: int
    memory: int
    memory_used: int
    cpu_times: list[int]
    disks: list[DiskCounters]
    macs: list[str]


def boot_id() -> str:
    """Which run of the host's kernel this is; it changes with each start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
