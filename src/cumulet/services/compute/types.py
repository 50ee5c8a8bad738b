# SPDX-License-Identifier: Apache-2.0
"""Compute's own words: the states of a server, and what a host is told of one."""

from __future__ import annotations

import enum

import msgspec


class VmState(enum.StrEnum):
    """What a server is, once no work on it is under way."""

    BUILDING = "building"
    ACTIVE = "active"
    PAUSED = "paused"
    STOPPED = "stopped"
    ERROR = "error"
    DELETED = "deleted"


class TaskState(enum.StrEnum):
    """What is being done to a server; none is the rule."""

    SCHEDULING = "scheduling"
    BLOCK_DEVICE_MAPPING = "block_device_mapping"
    NETWORKING = "networking"
    SPAWNING = "spawning"
    POWERING_OFF = "powering-off"
    POWERING_ON = "powering-on"
    REBOOTING = "rebooting"
    REBOOTING_HARD = "rebooting_hard"
    PAUSING = "pausing"
    UNPAUSING = "unpausing"
    IMAGE_SNAPSHOT = "image_snapshot"
    DELETING = "deleting"


class PowerState(enum.IntEnum):
    """What the hypervisor says, with the numbers that the API shows (nova.compute.power_state)."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6


# From which states an action may begin, and with which task state it marks the server. `reboot` soft needs ACTIVE
# alone; an action asked for while another is under way is a conflict unless it stands in INTERRUPTS.
ACTION_STATES: dict[str, frozenset[VmState]] = {
    "start": frozenset({VmState.STOPPED}),
    "stop": frozenset({VmState.ACTIVE, VmState.ERROR}),
    "reboot_soft": frozenset({VmState.ACTIVE}),
    "reboot_hard": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.ERROR}),
    "pause": frozenset({VmState.ACTIVE}),
    "unpause": frozenset({VmState.PAUSED}),
    "create_image": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED}),
    "attach_volume": frozenset({VmState.ACTIVE, VmState.PAUSED, VmState.STOPPED}),
    "detach_volume": frozenset({VmState.ACTIVE, VmState.PAUSED, VmState.STOPPED}),
    "swap_volume": frozenset({VmState.ACTIVE, VmState.PAUSED}),
    "attach_interface": frozenset({VmState.ACTIVE, VmState.PAUSED, VmState.STOPPED}),
    "detach_interface": frozenset({VmState.ACTIVE, VmState.PAUSED, VmState.STOPPED}),
    "get_diagnostics": frozenset({VmState.ACTIVE, VmState.PAUSED}),
}
INTERRUPTS: dict[str, frozenset[TaskState]] = {
    "reboot_hard": frozenset({TaskState.REBOOTING, TaskState.REBOOTING_HARD, TaskState.PAUSING, TaskState.UNPAUSING}),
    "delete": frozenset(TaskState) - {TaskState.DELETING},
}

# vm_state and task_state, as the API words them (`status`). A missing task state falls back to None's entry.
STATUSES: dict[VmState, dict[TaskState | None, str]] = {
    VmState.ACTIVE: {None: "ACTIVE", TaskState.REBOOTING: "REBOOT", TaskState.REBOOTING_HARD: "HARD_REBOOT"},
    VmState.BUILDING: {None: "BUILD"},
    VmState.STOPPED: {None: "SHUTOFF", TaskState.REBOOTING_HARD: "HARD_REBOOT"},
    VmState.PAUSED: {None: "PAUSED", TaskState.REBOOTING_HARD: "HARD_REBOOT"},
    VmState.ERROR: {None: "ERROR"},
    VmState.DELETED: {None: "DELETED"},
}


class PortSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface: the port's id, its address and its MTU in bytes (0: unknown)."""

    id: str
    mac: str
    mtu: int = 0


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An attached volume: `device` as the user knows it (`/dev/vdb`), `boot_index` 0 for the root disk.

    The guest sees the first 20 characters of the volume's id as the disk's serial number, as with OpenStack.
    """

    volume_id: str
    attachment_id: str = ""
    device: str = ""
    boot_index: int | None = None
    tag: str | None = None

    @property
    def serial(self) -> str:
        return self.volume_id[:20]


class LocalDisk(msgspec.Struct, frozen=True, kw_only=True):
    """An empty disk that lives and dies with its server, such as a flavor's ephemeral and swap space; size in MiB."""

    name: str
    size: int


class ServerSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that a host has to know to run a server; sizes: `ram` in MiB, `disk` in GiB (0: as large as the image).

    `image_id` is None where the root disk is the volume with boot index 0. `image_format` is the declared format of
    the image (`qcow2` or `raw`): a disk is never probed for it, since its content is the guest's. `config_drive` is
    the content of the config drive by path, None for no drive.
    """

    id: str
    vcpus: int
    ram: int
    disk: int = 0
    name: str = ""
    image_id: str | None = None
    image_format: str = "qcow2"
    ports: list[PortSpec] = []
    volumes: list[VolumeSpec] = []
    disks: list[LocalDisk] = []
    config_drive: dict[str, bytes] | None = None
