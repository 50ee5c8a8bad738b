# SPDX-License-Identifier: Apache-2.0
"""From rows to what a host is told of a server."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from cumulet.kernel.cloud import Cloud
from cumulet.services.block_storage.contract import Connection
from cumulet.services.compute.logic import devices, metadata, parts, personality
from cumulet.services.compute.logic.guest import hardware
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.types import Device, PortSpec, Server, ServerSpec, VolumeSpec
from cumulet.services.network.contract import NetworkContract, PortInfo


def server_spec(
    cloud: Cloud, server: Server, connections: Mapping[str, Connection], files: Sequence[personality.File] = ()
) -> ServerSpec:
    """The whole server as its host should have it; `connections` are those of its volumes, by attachment.

    `files` are the user's, on the config drive.
    """
    flavor = server.kind
    disks = devices_store.of_server(cloud.db, server.id)
    held = parts.held_by(cloud.db, server.id)
    return ServerSpec(
        id=server.id,
        name=server.name,
        vcpus=flavor.vcpus,
        ram=flavor.ram,
        disk=flavor.disk,
        image_id=server.image_id or None,
        image_format=server.image.get("disk_format", "qcow2"),
        ports=[port_spec(server, port, {each.port for each in held.handed_over}) for port in ports(cloud, server)],
        volumes=[
            volume_spec(device, connections.get(device.attachment_id or ""))
            for device in disks
            if device.volume_id is not None
        ],
        disks=devices.local_disks(server, disks),
        config_drive=metadata.config_drive(cloud, server, files) if server.config_drive else None,
        guest=hardware.describe(flavor, server.image.get("properties", {}), server.image.get("name"), server.image_id),
        parts=held,
    )


def ports(cloud: Cloud, server: Server) -> list[PortInfo]:
    """The server's ports in the order of attachment."""
    return cloud.contracts.use(NetworkContract).ports_of(cloud.db, [server.id]).get(server.id, [])


def port_spec(server: Server, port: PortInfo, passed: Collection[str] = ()) -> PortSpec:
    """`passed` are the ports that are devices of the guest's own."""
    words = server.image.get("properties", {})
    queues = hardware.queues(server.kind, words, server.image.get("name"), server.image_id)
    return PortSpec(id=port.id, mac=port.mac, mtu=port.mtu, queues=queues, passed=port.id in passed, socket=port.socket)


def volume_spec(device: Device, connection: Connection | None) -> VolumeSpec:
    assert device.volume_id is not None
    return VolumeSpec(
        volume_id=device.volume_id,
        attachment_id=device.attachment_id or "",
        generation=0 if connection is None else connection.generation,
        remote=None if connection is None else connection.remote,
        device=device.device_name,
        boot_index=device.boot_index,
        tag=device.tag,
        bus=device.disk_bus or "",
        read_only=connection is not None and connection.read_only,
        limits={} if connection is None else connection.limits,
        encrypted=connection is not None and connection.encrypted,
        backend="" if connection is None else connection.backend,
    )
