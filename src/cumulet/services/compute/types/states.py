# SPDX-License-Identifier: Apache-2.0
"""States of servers: which there are, what may begin in each, and how the API words them."""

from __future__ import annotations

import enum


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
