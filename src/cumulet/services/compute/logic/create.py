# SPDX-License-Identifier: Apache-2.0
"""Creating servers: what can be refused is refused here, then one commit makes all rows and starts the boot."""

from __future__ import annotations

import base64
import re
import secrets
import string
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, Forbidden, Invalid, NotFound
from cumulet.services.block_storage.contract import VolumesContract
from cumulet.services.compute import events
from cumulet.services.compute.logic import (
    actions,
    devices,
    flavors,
    hosts,
    images,
    keypairs,
    mappings,
    parts,
    personality,
    quotas,
)
from cumulet.services.compute.logic.guest import needs
from cumulet.services.compute.logic.mappings import DeviceRequest
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.store import quotas as groups_store
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Flavor, PowerState, Server, TaskState, VmState
from cumulet.services.network.contract import NetworkContract, PortInfo, PortRequest

BOOT = "compute.boot"
PASSWORD_LENGTH = 12


class Wanted(msgspec.Struct, kw_only=True):
    """A request for servers, as the API understood it.

    `networks` None means that nothing was said, `no_networks` that none are wanted. `image_id` "" means a boot from
    a volume among `devices`; `legacy_devices` that these have the first syntax, or that none were given.
    `multiattach` says that the caller knows of volumes that several servers have, `asking_ports` of ports that ask
    placement for something. `host` is one that an administrator insists on. `zone` names an availability zone.
    """

    name: str
    flavor_id: str
    description: str | None = None
    hostname: str | None = None
    image_id: str = ""
    networks: list[PortRequest] | None = None
    no_networks: bool = False
    security_groups: list[str] | None = None
    key_name: str | None = None
    user_data: str | None = None
    config_drive: bool = False
    files: list[personality.File] = []
    metadata: dict[str, str] = {}
    zone: str | None = None
    host: str = ""
    devices: list[DeviceRequest] = []
    legacy_devices: bool = True
    multiattach: bool = False
    asking_ports: bool = True
    least: int = 1
    most: int = 1
    tags: list[str] = []
    auto_disk_config: bool | None = None
    access_ip_v4: str | None = None
    access_ip_v6: str | None = None
    scheduler_hints: dict[str, Any] = {}
    trusted_certs: list[str] | None = None


class Checked(msgspec.Struct, kw_only=True):
    """The same with everything that it names looked up.

    `image` describes the system on the root disk, wherever that is; `image_id` is "" where the disk is a volume.
    """

    wanted: Wanted
    flavor: Flavor
    image: images.Image | None
    image_id: str
    keypair: dict[str, str] | None
    networks: list[PortRequest]
    devices: list[DeviceRequest]
    group_id: str | None


def create(cloud: Cloud, ctx: Context, wanted: Wanted) -> list[Server]:
    """Make the rows of between `least` and `most` servers, as many as the quota allows, and begin to boot them."""
    checked = check(cloud, ctx, wanted)

    def write(tx: Tx) -> list[Server]:
        project_id = ctx.project_id or ""
        asked = quotas.Servers(checked.flavor, _claim(checked), wanted.least, wanted.most)
        count = quotas.servers_allowed(cloud, tx, (project_id, ctx.user_id), asked)
        if checked.group_id is not None:
            quotas.check_group_member(cloud, tx, project_id, checked.group_id, count)
        reservation = "r-" + "".join(secrets.choice(string.ascii_lowercase + string.digits) for _ in range(8))
        return [_add(cloud, tx, ctx, checked, index, wanted.most, reservation) for index in range(count)]

    return cloud.db.write(write)


def check(cloud: Cloud, ctx: Context, wanted: Wanted) -> Checked:
    """Refuse what can be refused without changing anything."""
    try:
        flavor = flavors.get(cloud.db, wanted.flavor_id, ctx)
    except NotFound as error:
        raise Invalid(error.message, code=error.code) from error
    if wanted.most > 1 and any(each.port_id or each.address for each in wanted.networks or ()):
        raise Invalid(_several_message(wanted), code="MultiplePortsNotApplicable")
    quotas.check_metadata(cloud, cloud.db, ctx.project_id or "", len(wanted.metadata))
    personality.check(cloud, cloud.db, ctx.project_id or "", wanted.files)
    image = _image(cloud, ctx, wanted)
    requests = _devices(wanted, flavor, image)
    root = next(each for each in requests if each.boot_index == mappings.ROOT)
    _check_root(cloud, ctx, flavor, image, root)
    parts.wanted(cloud, flavor, {} if image is None else image.properties)
    _check_user_data(wanted.user_data)
    hosts.check_zone(cloud.db, wanted.zone)
    if wanted.host:
        hosts.check_exists(cloud.db, wanted.host)
    return Checked(
        wanted=wanted,
        flavor=flavor,
        image=image,
        image_id="" if root.is_volume else wanted.image_id,
        keypair=keypairs.for_server(cloud.db, ctx, wanted.key_name),
        networks=_networks(cloud, ctx, wanted),
        devices=devices.check(cloud, ctx, requests, several=wanted.multiattach),
        group_id=_group(cloud, ctx, wanted.scheduler_hints),
    )


def _needs_drive(image: images.Image | None) -> bool:
    return image is not None and image.properties.get("img_config_drive") == "mandatory"


def hostname_of(name: str, server_id: str) -> str:
    """A host name made of a server's name, as guests can have it."""
    plain = name.encode("ascii", "ignore").decode().lower().strip()
    plain = re.sub(r"[ _]", "-", plain)
    plain = re.sub(r"[^a-z0-9.-]+", "", plain).strip(".-")[:63].rstrip(".-")
    return plain or f"server-{server_id}"


def generate_password() -> str:
    """An administrator's password for the answer; nobody keeps it."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(PASSWORD_LENGTH))


def _add(cloud: Cloud, tx: Tx, ctx: Context, checked: Checked, index: int, most: int, reservation: str) -> Server:
    wanted, server_id, now = checked.wanted, ids.new_uuid(), clock.utcnow()
    name = f"{wanted.name}-{index + 1}" if most > 1 else wanted.name
    hostname = wanted.hostname or hostname_of(wanted.name, server_id)
    server = Server(
        id=server_id,
        project_id=ctx.project_id or "",
        user_id=ctx.user_id,
        name=name,
        description=wanted.description,
        hostname=f"{hostname}-{index + 1}" if most > 1 else hostname,
        vm_state=VmState.BUILDING.value,
        task_state=TaskState.SCHEDULING.value,
        power_state=PowerState.NOSTATE.value,
        host="",
        availability_zone=wanted.zone,
        image_id=checked.image_id,
        image={} if checked.image is None else checked.image.described(),
        flavor=msgspec.to_builtins(checked.flavor),
        keypair=checked.keypair,
        user_data=wanted.user_data,
        config_drive=wanted.config_drive or bool(wanted.files) or _needs_drive(checked.image),
        metadata=wanted.metadata,
        auto_disk_config=bool(wanted.auto_disk_config),
        access_ip_v4=wanted.access_ip_v4,
        access_ip_v6=wanted.access_ip_v6,
        locked_by=None,
        locked_reason=None,
        progress=0,
        launch_index=index,
        reservation_id=reservation,
        root_device_name=mappings.ROOT_NAME,
        scheduler_hints=wanted.scheduler_hints,
        trusted_certs=wanted.trusted_certs,
        group_id=checked.group_id,
        fault=None,
        created_at=now,
        updated_at=now,
        launched_at=None,
        terminated_at=None,
        deleted_at=None,
    )
    store.add(tx, server)
    store.replace_tags(tx, server.id, wanted.tags)
    devices_store.add(tx, *devices.rows(server, checked.devices))
    ports = _claim_parts(cloud, tx, ctx, server, checked)
    actions.begin(tx, ctx, server.id, "create")
    files = personality.to_words(wanted.files)
    arguments = {"ctx": msgspec.to_builtins(ctx), "host": wanted.host, **({"files": files} if files else {})}
    if any(port.asks_resources or port.is_device for port in ports):
        arguments["ports_ask"] = True
    cloud.sagas.start(tx, BOOT, server.id, arguments, ctx.request_id)
    cloud.outbox.publish(tx, "compute.instance.create.start", events.payload(server), ctx.request_id)
    return server


def _claim_parts(cloud: Cloud, tx: Tx, ctx: Context, server: Server, checked: Checked) -> list[PortInfo]:
    """Ports, which are told, and existing volumes become the server's in the same commit."""
    network = cloud.contracts.use(NetworkContract)
    ports: list[PortInfo] = []
    if checked.networks:
        ports = network.create_ports(
            tx,
            ctx,
            server_id=server.id,
            host="",
            availability_zone=server.availability_zone or hosts.DEFAULT_ZONE,
            requests=checked.networks,
            hostname=server.hostname,
            security_groups=checked.wanted.security_groups,
        )
        _check_asking(checked.wanted, ports)
    for device in devices_store.of_server(tx, server.id):
        if device.volume_id is not None:
            claim = cloud.contracts.use(VolumesContract).reserve(tx, ctx, device.volume_id, server.id)
            devices_store.change(tx, device.id, {"attachment_id": claim.id})
    return ports


def _check_asking(wanted: Wanted, ports: list[PortInfo]) -> None:
    """Invalid for ports that ask placement for something, where the caller does not know of such."""
    if not wanted.asking_ports and any(port.asks_resources and not port.made_for_server for port in ports):
        raise Invalid(
            "Creating servers with ports having resource requests, like a port with a QoS minimum bandwidth policy, is "
            "not supported until microversion 2.72.",
            code="CreateWithPortResourceRequestOldVersion",
        )


def _networks(cloud: Cloud, ctx: Context, wanted: Wanted) -> list[PortRequest]:
    asked = [] if wanted.no_networks else wanted.networks or None
    try:
        return cloud.contracts.use(NetworkContract).check(ctx, asked, wanted.security_groups)
    except NotFound as error:
        if error.code == "SecurityGroupNotFound":
            raise Invalid(f"Unable to find security_group with name or id '{error.fields['name']}'") from error
        raise Invalid(error.message, code=error.code) from error
    except Conflict as error:
        if error.code == "NetworkAmbiguous":
            raise
        raise Invalid(error.message, code=error.code) from error


def _image(cloud: Cloud, ctx: Context, wanted: Wanted) -> images.Image | None:
    """The image that the server is made from, directly or through a volume; None where nothing says so."""
    if wanted.image_id:
        image = images.get_usable(cloud, ctx, wanted.image_id)
        images.check_direct(image)
        return image
    root = next((each for each in wanted.devices if _is_asked_root(wanted, each)), None)
    if root is None or root.source_type == "blank":
        return None
    if root.source_type == "image":
        try:
            return images.get_usable(cloud, ctx, root.source_id or "")
        except Invalid as error:
            if error.code != "ImageNotFound":
                raise
            raise mappings.invalid(f"failed to get image {root.source_id}.", "InvalidBDMImage") from error
    return images.of_volume(devices.volume_of_root(cloud, ctx, root))


def _claim(checked: Checked) -> dict[str, int]:
    """What each of the servers will take in placement."""
    words = {} if checked.image is None else checked.image.properties
    return needs.claim(checked.flavor, words, with_disk=bool(checked.image_id))


def _is_asked_root(wanted: Wanted, request: DeviceRequest) -> bool:
    if wanted.legacy_devices:
        return request.device_name == mappings.ROOT_NAME
    return request.boot_index == mappings.ROOT


def _devices(wanted: Wanted, flavor: Flavor, image: images.Image | None) -> list[DeviceRequest]:
    """All disks, the root disk among them; what the flavor adds by itself is not."""
    words = {} if image is None else image.properties
    requests = mappings.merge(
        wanted.devices,
        mappings.of_image(words),
        legacy=wanted.legacy_devices,
        image_id=wanted.image_id,
        root_name=mappings.root_name_of(words),
    )
    mappings.check(requests, ephemeral=flavor.ephemeral, swap=flavor.swap, several=wanted.most > 1)
    return requests


def _check_root(cloud: Cloud, ctx: Context, flavor: Flavor, image: images.Image | None, root: DeviceRequest) -> None:
    """Whether the flavor, or the volume, has room for the image."""
    if image is None:
        return
    images.check_fits(image, flavor)
    if root.is_volume:
        images.check_volume(image, root.volume_size)
        return
    images.check_disk(image, flavor)
    if flavor.disk == 0 and not cloud.allows("compute", "os_compute_api:servers:create:zero_disk_flavor", ctx):
        raise Forbidden(
            "Only volume-backed servers are allowed for flavors with zero disk.",
            code="BootFromVolumeRequiredForZeroDiskFlavor",
        )


def _group(cloud: Cloud, ctx: Context, hints: dict[str, Any]) -> str | None:
    hint = hints.get("group")
    group_id = hint[0] if isinstance(hint, list) and hint else hint
    if not group_id:
        return None
    found = groups_store.find_group(cloud.db, group_id)
    if found is None or (found.project_id != ctx.project_id and not ctx.is_admin):
        raise Invalid(f"Instance group {group_id} could not be found.", code="InstanceGroupNotFound")
    return found.id


def _check_user_data(user_data: str | None) -> None:
    if user_data is not None:
        try:
            base64.b64decode(user_data, validate=False)
        except ValueError as error:
            raise Invalid("User data needs to be valid base 64.", code="InstanceUserDataMalformed") from error


def _several_message(wanted: Wanted) -> str:
    if any(each.port_id for each in wanted.networks or ()):
        return "Unable to launch multiple instances with a single configured port ID. Please launch your instance one by one with different ports."  # noqa: E501
    return "Invalid Fixed IPs and max count request: fixed IPs cannot be given to several servers at once."
