# SPDX-License-Identifier: Apache-2.0
"""Rows of the database."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from cumulet.services.compute.types.states import VmState


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
    properties, `keypair` of the key (name, type, public_key): servers share them, so none is changed in place.
    `image_id` is "" where the root disk is a volume. `host` is "" until one is chosen. `availability_zone` is what was
    asked for. `fault` holds code, message, details and created; `deleted_at` marks a server that is kept for those who
    ask what changed.
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

    `capabilities` and `usage` are what the host reported (`drivers.base.Capabilities`, `Usage`). `failed_builds` counts
    the servers that it could not build since it last built one.
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
    failed_builds: int = 0


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


class HeldParts(msgspec.Struct, frozen=True):
    """Parts of a host that a server has for itself; `parts` is a Parts.

    The `owner` is the server, or the migration that keeps for it what it had before.
    """

    owner: str
    server_id: str
    host: str
    parts: dict[str, Any]
