# SPDX-License-Identifier: Apache-2.0
"""Compute's own words: the states of a server, what a host is told of one, and the rows of the database."""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec

from cumulet.services.block_storage.contract import RemoteDisk


class VmState(enum.StrEnum):
    """What a server is, once no work on it is under way."""

    BUILDING = "building"
    ACTIVE = "active"
    PAUSED = "paused"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    RESCUED = "rescued"
    SHELVED = "shelved"
    SHELVED_OFFLOADED = "shelved_offloaded"
    SOFT_DELETED = "soft-delete"
    RESIZED = "resized"
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
    SUSPENDING = "suspending"
    RESUMING = "resuming"
    REBUILDING = "rebuilding"
    REBUILD_BLOCK_DEVICE_MAPPING = "rebuild_block_device_mapping"
    REBUILD_SPAWNING = "rebuild_spawning"
    RESCUING = "rescuing"
    UNRESCUING = "unrescuing"
    SHELVING = "shelving"
    SHELVING_IMAGE_UPLOADING = "shelving_image_uploading"
    SHELVING_OFFLOADING = "shelving_offloading"
    UNSHELVING = "unshelving"
    IMAGE_SNAPSHOT = "image_snapshot"
    IMAGE_BACKUP = "image_backup"
    SOFT_DELETING = "soft-deleting"
    RESTORING = "restoring"
    RESIZE_PREP = "resize_prep"
    RESIZE_MIGRATING = "resize_migrating"
    RESIZE_MIGRATED = "resize_migrated"
    RESIZE_FINISH = "resize_finish"
    RESIZE_CONFIRMING = "resize_confirming"
    RESIZE_REVERTING = "resize_reverting"
    MIGRATING = "migrating"
    DELETING = "deleting"


class PowerState(enum.IntEnum):
    """What the hypervisor says, with the numbers that the API shows (nova.compute.power_state)."""

    NOSTATE = 0
    RUNNING = 1
    PAUSED = 3
    SHUTDOWN = 4
    CRASHED = 6


# What a server shows of itself: the kinds of consoles by which a driver is asked for one.
Display: TypeAlias = Literal["vnc", "spice", "serial"]
DISPLAYS: tuple[Display, ...] = ("vnc", "spice", "serial")


_DISKS_CHANGE = frozenset(
    {
        VmState.ACTIVE,
        VmState.PAUSED,
        VmState.STOPPED,
        VmState.RESIZED,
        VmState.SOFT_DELETED,
        VmState.SHELVED,
        VmState.SHELVED_OFFLOADED,
    }
)

# From which states an action may begin, and with which task state it marks the server. `reboot` soft needs ACTIVE
# alone; an action asked for while another is under way is a conflict unless it stands in INTERRUPTS.
ACTION_STATES: dict[str, frozenset[VmState]] = {
    "start": frozenset({VmState.STOPPED}),
    "stop": frozenset({VmState.ACTIVE, VmState.ERROR}),
    "reboot_soft": frozenset({VmState.ACTIVE}),
    "reboot_hard": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.SUSPENDED, VmState.ERROR}),
    "pause": frozenset({VmState.ACTIVE}),
    "unpause": frozenset({VmState.PAUSED}),
    "suspend": frozenset({VmState.ACTIVE}),
    "resume": frozenset({VmState.SUSPENDED}),
    "rebuild": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.ERROR}),
    "rescue": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.ERROR}),
    "unrescue": frozenset({VmState.RESCUED}),
    "shelve": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.SUSPENDED}),
    "shelve_offload": frozenset({VmState.SHELVED}),
    "unshelve": frozenset({VmState.SHELVED, VmState.SHELVED_OFFLOADED}),
    "restore": frozenset({VmState.SOFT_DELETED}),
    "create_backup": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.SUSPENDED}),
    "change_password": frozenset({VmState.ACTIVE}),
    "crash_dump": frozenset({VmState.ACTIVE, VmState.PAUSED, VmState.RESCUED, VmState.RESIZED, VmState.ERROR}),
    "create_image": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.PAUSED, VmState.SUSPENDED}),
    "attach_volume": _DISKS_CHANGE,
    "detach_volume": _DISKS_CHANGE,
    "swap_volume": frozenset({VmState.ACTIVE, VmState.PAUSED, VmState.RESIZED}),
    "attach_interface": frozenset({VmState.ACTIVE, VmState.PAUSED, VmState.STOPPED}),
    "detach_interface": frozenset({VmState.ACTIVE, VmState.PAUSED, VmState.STOPPED}),
    "resize": frozenset({VmState.ACTIVE, VmState.STOPPED}),
    "confirm_resize": frozenset({VmState.RESIZED}),
    "revert_resize": frozenset({VmState.RESIZED}),
    "migrate_live": frozenset({VmState.ACTIVE, VmState.PAUSED}),
    "evacuate": frozenset({VmState.ACTIVE, VmState.STOPPED, VmState.ERROR}),
}
INTERRUPTS: dict[str, frozenset[TaskState]] = {
    "reboot_hard": frozenset(
        {
            TaskState.REBOOTING,
            TaskState.REBOOTING_HARD,
            TaskState.PAUSING,
            TaskState.UNPAUSING,
            TaskState.SUSPENDING,
            TaskState.RESUMING,
        }
    ),
    "delete": frozenset(TaskState) - {TaskState.DELETING},
}

# vm_state and task_state, as the API words them (`status`). A missing task state falls back to None's entry.
_REBUILD: dict[TaskState | None, str] = dict.fromkeys(
    (TaskState.REBUILDING, TaskState.REBUILD_BLOCK_DEVICE_MAPPING, TaskState.REBUILD_SPAWNING), "REBUILD"
)
_RESIZE: dict[TaskState | None, str] = dict.fromkeys(
    (TaskState.RESIZE_PREP, TaskState.RESIZE_MIGRATING, TaskState.RESIZE_MIGRATED, TaskState.RESIZE_FINISH), "RESIZE"
)
STATUSES: dict[VmState, dict[TaskState | None, str]] = {
    VmState.ACTIVE: {
        None: "ACTIVE",
        TaskState.REBOOTING: "REBOOT",
        TaskState.REBOOTING_HARD: "HARD_REBOOT",
        TaskState.MIGRATING: "MIGRATING",
        **_REBUILD,
        **_RESIZE,
    },
    VmState.BUILDING: {None: "BUILD"},
    VmState.STOPPED: {None: "SHUTOFF", TaskState.REBOOTING_HARD: "HARD_REBOOT", **_REBUILD, **_RESIZE},
    VmState.RESIZED: {None: "VERIFY_RESIZE", TaskState.RESIZE_REVERTING: "REVERT_RESIZE"},
    VmState.PAUSED: {None: "PAUSED", TaskState.REBOOTING_HARD: "HARD_REBOOT", TaskState.MIGRATING: "MIGRATING"},
    VmState.SUSPENDED: {None: "SUSPENDED"},
    VmState.RESCUED: {None: "RESCUE"},
    VmState.SHELVED: {None: "SHELVED"},
    VmState.SHELVED_OFFLOADED: {None: "SHELVED_OFFLOADED"},
    VmState.SOFT_DELETED: {None: "SOFT_DELETED"},
    VmState.ERROR: {None: "ERROR", **_REBUILD},
    VmState.DELETED: {None: "DELETED"},
}


class PortSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface: the port's id, its address and its MTU in bytes (0: unknown)."""

    id: str
    mac: str
    mtu: int = 0


class VolumeSpec(msgspec.Struct, frozen=True, kw_only=True):
    """An attached volume: `device` as the user knows it (`/dev/vdb`), `boot_index` 0 for the root disk.

    The guest sees the first 20 characters of the volume's id as the disk's serial number, as with OpenStack. `remote`
    is where the volume's host exports it, None where it is on the server's own; `generation` is the attachment's. `bus`
    is that of the disk, "" the guest's own.
    """

    volume_id: str
    attachment_id: str = ""
    generation: int = 0
    remote: RemoteDisk | None = None
    device: str = ""
    boot_index: int | None = None
    tag: str | None = None
    bus: str = ""

    @property
    def serial(self) -> str:
        return self.volume_id[:20]


class LocalDisk(msgspec.Struct, frozen=True, kw_only=True):
    """An empty disk that lives and dies with its server, such as a flavor's ephemeral and swap space; size in MiB.

    `filesystem` is one of FILESYSTEMS, "" for none; its label is the disk's name.
    """

    name: str
    size: int
    filesystem: str = ""


FILESYSTEMS = ("ext2", "ext3", "ext4", "vfat", "swap")


class RescueSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The disk that a server boots from instead of its own, made of an image.

    With `bus` "" the disk comes first, the server's own root disk second, and nothing else is plugged in. Else all of
    the server's disks keep their places, and the disk comes last: `bus` is virtio, scsi, ide, sata or usb, `device`
    disk or cdrom.
    """

    image_id: str
    image_format: str = "qcow2"
    bus: str = ""
    device: str = "disk"


class Guest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A server's hardware as image and flavor ask for it, in words of no hypervisor; "" leaves the choice to the host.

    The defaults are those of an image and a flavor that say nothing. `machine` is QEMU's name of a machine type. `tpm`
    is "", 1.2 or 2.0. Buses are virtio, scsi, ide, sata, usb; `cdrom_bus` "" leaves the config drive a plain disk.
    `watchdog` is what happens when the guest does not answer: "" (there is none), none, pause, poweroff, reset.
    `rng_bytes` each `rng_period` milliseconds are all that the guest gets of random numbers (0: no limit). `video` is
    "" (a card only where there is a graphical console), none or a card's model with `video_ram` MiB (0: its own
    choice). `tablet` and `keyboard` are "" or a bus (usb, virtio). `sockets`, `cores` and `threads` 0: a socket for
    each processor. `pmu` and `hpet` None: as the hypervisor has them. `address_mode` is "", passthrough or emulate.
    `kernel_id` and `ramdisk_id` are images, with which the guest is started past its own boot loader.
    """

    machine: str = ""
    firmware: Literal["bios", "uefi"] = "bios"
    secure_boot: Literal["disabled", "optional", "required"] = "disabled"
    tpm: str = ""
    tpm_model: str = "tpm-tis"
    disk_bus: str = "virtio"
    cdrom_bus: str = ""
    scsi_model: str = "virtio-scsi"
    nic: str = "virtio"
    multiqueue: bool = False
    packed_ring: bool = False
    agent: bool = False
    admin_user: str = ""
    needs_quiesce: bool = False
    windows: bool = False
    watchdog: str = ""
    rng: bool = True
    rng_bytes: int = 0
    rng_period: int = 0
    video: str = ""
    video_ram: int = 0
    tablet: str = ""
    keyboard: str = ""
    usb: str = ""
    usb_redirections: int = 0
    sound: str = ""
    iommu: str = ""
    serial_ports: int = 1
    boot_menu: bool = False
    sockets: int = 0
    cores: int = 0
    threads: int = 0
    pmu: bool | None = None
    hpet: bool | None = None
    hidden: bool = False
    address_mode: str = ""
    address_bits: int = 0
    locked_memory: bool = False
    kernel_id: str = ""
    ramdisk_id: str = ""
    command_line: str = ""


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
    rescue: RescueSpec | None = None
    guest: Guest = Guest()


class Flavor(msgspec.Struct):
    """A size of servers: `ram` and `swap` in MiB, `disk` and `ephemeral` in GiB."""

    id: str
    name: str
    ram: int
    vcpus: int
    disk: int
    ephemeral: int
    swap: int
    rxtx_factor: float
    is_public: bool
    disabled: bool
    description: str | None
    extra_specs: dict[str, str]
    created_at: datetime


class FlavorAccess(msgspec.Struct):
    """A project that may use a flavor which is not public."""

    flavor_id: str
    project_id: str


class Keypair(msgspec.Struct):
    """A public key of a user; `type` is `ssh` or `x509`. Private keys are never kept."""

    id: int
    user_id: str
    name: str
    type: str
    fingerprint: str
    public_key: str
    created_at: datetime


class Server(msgspec.Struct):
    """A server. States are values of VmState, TaskState and PowerState.

    `flavor` is a copy of the flavor (fields of Flavor) as it was at the creation, `image` one of the image's
    properties, `keypair` of the key (name, type, public_key). `image_id` is "" where the root disk is a volume.
    `host` is "" until one is chosen. `availability_zone` is what was asked for. `fault` holds code, message, details
    and created; `deleted_at` marks a server that is kept for those who ask what changed.
    """

    id: str
    project_id: str
    user_id: str
    name: str
    description: str | None
    hostname: str
    vm_state: str
    task_state: str | None
    power_state: int
    host: str
    availability_zone: str | None
    image_id: str
    image: dict[str, Any]
    flavor: dict[str, Any]
    keypair: dict[str, str] | None
    user_data: str | None
    config_drive: bool
    metadata: dict[str, str]
    auto_disk_config: bool
    access_ip_v4: str | None
    access_ip_v6: str | None
    locked_by: str | None
    locked_reason: str | None
    progress: int
    launch_index: int
    reservation_id: str
    root_device_name: str
    scheduler_hints: dict[str, Any]
    trusted_certs: list[str] | None
    group_id: str | None
    fault: dict[str, Any] | None
    created_at: datetime
    updated_at: datetime
    launched_at: datetime | None
    terminated_at: datetime | None
    deleted_at: datetime | None

    @property
    def kind(self) -> Flavor:
        """The flavor as it was."""
        return msgspec.convert(self.flavor, Flavor)

    @property
    def state(self) -> VmState:
        return VmState(self.vm_state)


class ServerTag(msgspec.Struct):
    server_id: str
    tag: str


class ServerPassword(msgspec.Struct):
    """What a guest has posted as its administrator's password, encrypted by the server's key."""

    server_id: str
    password: str


class ServerLife(msgspec.Struct):
    """What is kept of a server while it is shelved, rescued or deleted for the time being.

    `shelved_image_id` is the image of its root disk, None where that is a volume. `rescue` is a RescueSpec.
    """

    server_id: str
    shelved_at: datetime | None = None
    shelved_image_id: str | None = None
    rescue: dict[str, Any] | None = None
    soft_deleted_at: datetime | None = None


class Backup(msgspec.Struct):
    """An image that was made as a backup; `type` is the user's word (`daily`), by which the oldest are rotated out."""

    image_id: str
    server_id: str
    type: str
    created_at: datetime


class Migration(msgspec.Struct):
    """A change of a server's place or size; `id` is the old integer name of it, and the newest is the greatest.

    `type` is resize, migration, live-migration or evacuation. `source` and `destination` are hosts; there is no
    destination until one is chosen. `old_flavor` and `new_flavor` are copies of flavors (fields of Flavor).
    `old_state` is the VmState that the server had. In placement the migration, by its `uuid`, holds what the server
    took before.
    """

    id: int
    uuid: str
    server_id: str
    project_id: str
    user_id: str
    type: str
    status: str
    source: str
    destination: str | None
    old_flavor: dict[str, Any]
    new_flavor: dict[str, Any]
    old_state: str
    created_at: datetime
    updated_at: datetime | None


class Device(msgspec.Struct):
    """A disk of a server (block device mapping); sizes in GiB, of swap disks in MiB.

    `attachment_id` is block storage's attachment, `volume_id` is None until there is a volume. `destination_type` is
    `local` or `volume`. `source_id` is the image, snapshot or volume that it is made from. `attached` says that the
    host has it.
    """

    id: str
    server_id: str
    source_type: str
    source_id: str | None
    destination_type: str
    volume_id: str | None
    attachment_id: str | None
    boot_index: int | None
    device_name: str
    volume_size: int | None
    volume_type: str | None
    delete_on_termination: bool
    guest_format: str | None
    tag: str | None
    attached: bool
    created_at: datetime
    disk_bus: str | None
    device_type: str | None


class Action(msgspec.Struct):
    """Something that was done to a server at a user's request."""

    id: str
    server_id: str
    request_id: str
    action: str
    project_id: str
    user_id: str
    message: str | None
    start_time: datetime
    updated_at: datetime


class ActionEvent(msgspec.Struct):
    """A step of an action; `result` is Success or Error."""

    id: str
    action_id: str
    event: str
    host: str
    start_time: datetime
    finish_time: datetime | None
    result: str | None
    details: str | None


class ComputeHost(msgspec.Struct):
    """A host that runs servers. `id` names its resource provider and hypervisor, `number` is the old integer id.

    `capabilities` and `usage` are what the host reported (`drivers.base.Capabilities`, `Usage`).
    """

    name: str
    id: str
    number: int
    service_id: str
    capabilities: dict[str, Any]
    usage: dict[str, Any]
    disabled: bool
    disabled_reason: str | None
    forced_down: bool
    created_at: datetime
    updated_at: datetime


class QuotaLimit(msgspec.Struct):
    """A limit that differs from the default; `scope` is a project's id or `class:NAME`."""

    scope: str
    resource: str
    hard_limit: int


class Aggregate(msgspec.Struct):
    """A group of hosts; `metadata` may hold `availability_zone`."""

    id: int
    uuid: str
    name: str
    metadata: dict[str, str]
    hosts: list[str]
    created_at: datetime
    updated_at: datetime | None


class ServerGroup(msgspec.Struct):
    """Servers that belong together or apart: `policy` is affinity, anti-affinity or a soft form of one."""

    id: str
    name: str
    project_id: str
    user_id: str
    policy: str
    rules: dict[str, Any]
    created_at: datetime


class ConsoleToken(msgspec.Struct, frozen=True):
    """A token for a console, known by its hash; `uses` counts the connections that it has opened.

    The host's door is the UNIX socket `path` on its own machine, and for others `address` and `port` (0: it has none).
    """

    hash: str
    server_id: str
    display: str
    host: str
    path: str
    address: str
    port: int
    uses: int
    created_at: datetime
    expires_at: datetime
