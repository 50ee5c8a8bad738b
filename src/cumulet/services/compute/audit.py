# SPDX-License-Identifier: Apache-2.0
"""Whether servers, what they hold of other services, and what hosts run agree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cumulet.kernel.audit import Finding, Look
from cumulet.services.block_storage.contract import Attachment, VolumesContract
from cumulet.services.compute.logic import hosts, migrations, offers, parts
from cumulet.services.compute.logic.guest import needs
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.store import migrations as migrations_store
from cumulet.services.compute.store import parts as store_parts
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import ComputeHost, Device, PowerState, Server, VmState
from cumulet.services.network.contract import NetworkContract, PortInfo
from cumulet.services.placement.contract import PlacementContract

# What a hypervisor should do with a server that nothing is being done to; any other state may be anything.
_POWERS = {
    VmState.ACTIVE: PowerState.RUNNING,
    VmState.PAUSED: PowerState.PAUSED,
    VmState.STOPPED: PowerState.SHUTDOWN,
    VmState.SUSPENDED: PowerState.SHUTDOWN,
    VmState.SHELVED: PowerState.SHUTDOWN,
    VmState.SOFT_DELETED: PowerState.SHUTDOWN,
}

_HOMELESS = (VmState.ERROR, VmState.SHELVED_OFFLOADED, VmState.SOFT_DELETED)


def audit(look: Look) -> Iterator[Finding]:
    """Every disagreement."""
    db = look.cloud.db
    alive = {each.id: each for each in store.alive(db)}
    disks = devices_store.of_servers(db, list(alive))
    ports = look.cloud.contracts.use(NetworkContract).ports_of(db, list(alive))
    yield from _tasks(look, alive)
    yield from _claims(look, alive)
    yield from _parts(look, alive)
    yield from _migrations(look, alive)
    yield from _disks(look, alive, disks)
    yield from _ports(look, alive, ports)
    yield from _devices(look, alive, ports)
    for host, has in look.hosts.items():
        yield from _host(look, host, has, alive, disks, ports)


def _tasks(look: Look, alive: dict[str, Server]) -> Iterator[Finding]:
    for server in alive.values():
        if server.id in look.busy:
            continue
        if server.task_state is not None:
            yield look.found(server.id, f"server is {server.task_state}, and nobody works on it")
        if server.state is VmState.BUILDING:
            yield look.found(server.id, "server is being built, and nobody works on it")
        if server.state not in _HOMELESS and not server.host:
            yield look.found(server.id, f"server is {server.vm_state}, and on no host")


def _claims(look: Look, alive: dict[str, Server]) -> Iterator[Finding]:
    """What placement says that servers hold is what they are entitled to."""
    db, placement = look.cloud.db, look.cloud.contracts.use(PlacementContract)
    by_name = {host.name: host for host in hosts.find_all(db)}
    for_ports = look.cloud.contracts.use(NetworkContract).held_for_ports(db, list(alive))
    for server in alive.values():
        if server.id in look.busy:
            continue
        held = placement.allocation(db, server.id)
        if not server.host:
            if held is not None:
                yield look.found(server.id, "server is on no host, and holds resources of one")
            continue
        wanted = migrations.both(_entitled(look, server, by_name.get(server.host)), for_ports.get(server.id, {}))
        if held is None:
            yield look.found(server.id, f"server is on {server.host}, and holds nothing of it")
        elif held.resources != wanted:
            yield look.found(server.id, f"server holds {held.resources}, not {wanted} of {server.host}")
    for name, host in by_name.items():
        for consumer in placement.consumers(db, host.id, "INSTANCE"):
            if consumer not in alive and consumer not in look.busy:
                yield look.found(consumer, f"resources of {name} are held by a server that is gone")


def _entitled(look: Look, server: Server, host: ComputeHost | None) -> dict[str, dict[str, int]]:
    """What the server should hold, by provider: what its flavor says of its host, and the devices that it has there."""
    if host is None:
        return {}
    cloud, held = look.cloud, parts.held_by(look.cloud.db, server.id)
    amounts = needs.claim(server.kind, server.image.get("properties", {}), with_disk=bool(server.image_id))
    found = {host.id: {name: amount for name, amount in amounts.items() if name != offers.VGPU}}
    of_devices = [offers.claim_of_device(cloud, host, each.address) for each in held.devices]
    of_gpus = [(offers.provider_of(host, each.parent), offers.VGPU) for each in held.mdevs]
    for claim in (*of_devices, *of_gpus):
        if claim is not None:
            amounts = found.setdefault(claim[0], {})
            amounts[claim[1]] = amounts.get(claim[1], 0) + 1
    return found


def _parts(look: Look, alive: dict[str, Server]) -> Iterator[Finding]:
    """What servers have of hosts for themselves is there, nobody else's, and theirs alone who are on the host."""
    db = look.cloud.db
    waiting = {each.uuid for each in migrations_store.in_status(db, migrations.UNENDED)}
    by_name = {host.name: host for host in hosts.find_all(db)}
    rows = store_parts.everywhere(db)
    owners = {row.owner for row in rows}
    for server in alive.values():
        if server.host and server.id not in look.busy | owners and parts.of_server(look.cloud, server):
            yield look.found(server.id, f"server has no parts of {server.host} for itself, though it should")
    for row in rows:
        there = alive.get(row.server_id)
        if row.server_id in look.busy:
            continue
        is_kept = row.owner != row.server_id and row.owner in waiting
        if there is None or (not is_kept and (there.id != row.owner or there.host != row.host)):
            yield look.found(row.server_id, f"parts of {row.host} are held by {row.owner}, which is not there")
    for name, held in parts.held_everywhere(db).items():
        if name in by_name:
            for what in parts.conflicts(held):
                yield look.found(by_name[name].id, f"{what} of {name} is held twice")


def _migrations(look: Look, alive: dict[str, Server]) -> Iterator[Finding]:
    """What is held for servers that were resized is held as long as their users may want it back, and no longer."""
    db, placement = look.cloud.db, look.cloud.contracts.use(PlacementContract)
    waiting = {each.uuid: each for each in migrations_store.in_status(db, migrations.UNENDED)}
    for each in waiting.values():
        server = alive.get(each.server_id)
        state = "gone" if server is None else server.vm_state
        if each.server_id not in look.busy and (each.status, state) != (migrations.FINISHED, VmState.RESIZED):
            yield look.found(each.server_id, f"migration {each.uuid} is {each.status}, its server {state}")
    for host in hosts.find_all(db):
        for consumer in placement.consumers(db, host.id, migrations.CONSUMER):
            if consumer not in waiting:
                yield look.found(consumer, f"resources of {host.name} are held by a migration that has ended")


def _disks(look: Look, alive: dict[str, Server], disks: dict[str, list[Device]]) -> Iterator[Finding]:
    """A server's disks and block storage's attachments are the same."""
    db, contract = look.cloud.db, look.cloud.contracts.use(VolumesContract)
    attachments = contract.attachments_of(db, list(alive))
    volumes = [each.volume_id for listed in disks.values() for each in listed if each.volume_id]
    known = contract.info(db, volumes)
    for server_id in alive:
        if server_id in look.busy:
            continue
        claims = {claim.id: claim for claim in attachments.get(server_id, [])}
        for device in disks.get(server_id, []):
            if device.volume_id is not None:
                claim = claims.pop(device.attachment_id or "", None)
                yield from _disk(look, device, claim, there=device.volume_id in known)
        for claim in claims.values():
            yield look.found(server_id, f"volume {claim.volume_id} is claimed for the server, which has no such disk")
    for server_id in devices_store.owners(db):
        if server_id not in alive and server_id not in look.busy:
            yield look.found(server_id, "disks are left of a server that is gone")


def _disk(look: Look, device: Device, claim: Attachment | None, *, there: bool) -> Iterator[Finding]:
    name = f"disk {device.device_name} (volume {device.volume_id})"
    if not there:
        yield look.found(device.server_id, f"{name} of the server does not exist")
    elif claim is None:
        yield look.found(device.server_id, f"{name} of the server is not claimed in block storage")
    elif (claim.status == "attached") != device.attached:
        says = "has it" if device.attached else "has it not"
        yield look.found(device.server_id, f"{name} is {claim.status} in block storage, the server {says}")


def _devices(look: Look, alive: dict[str, Server], ports: dict[str, list[PortInfo]]) -> Iterator[Finding]:
    """Servers have for their ports those devices that the ports are, and for no others."""
    are = {(server_id, port.id) for server_id, listed in ports.items() for port in listed if port.is_device}
    bound = {(server_id, port) for server_id, port in are if server_id in alive and alive[server_id].host}
    rows = store_parts.everywhere(look.cloud.db)
    held = {(row.server_id, each.port) for row in rows for each in parts.read(row).devices if each.port}
    for server_id, port in sorted((bound - held) | (held - are)):
        if server_id not in look.busy:
            what = "no device is held for" if (server_id, port) in bound else "a device is held for"
            yield look.found(server_id, f"{what} port {port} of the server")


def _ports(look: Look, alive: dict[str, Server], ports: dict[str, list[PortInfo]]) -> Iterator[Finding]:
    for server_id, listed in ports.items():
        for port in listed:
            if server_id not in look.busy and port.host != alive[server_id].host:
                yield look.found(server_id, f"port {port.id} is bound to {port.host!r}, its server is elsewhere")


def _host(
    look: Look,
    host: str,
    has: dict[str, Any],
    alive: dict[str, Server],
    disks: dict[str, list[Device]],
    ports: dict[str, list[PortInfo]],
) -> Iterator[Finding]:
    """What the host runs and remembers is what it should."""
    machines, records = has["machines"], has["records"]
    for server_id in sorted(machines.keys() | records.keys()):
        server = alive.get(server_id)
        if (server is None or server.host != host) and server_id not in look.busy:
            yield look.found(server_id, f"host {host} has a server that is not there")
    for server in alive.values():
        if server.host != host or server.id in look.busy or server.state not in _POWERS:
            continue
        record = records.get(server.id)
        if record is None:
            yield look.found(server.id, f"host {host} does not know its server")
            continue
        power = PowerState(machines.get(server.id, PowerState.NOSTATE))
        if power is not _POWERS[server.state]:
            yield look.found(server.id, f"server is {server.vm_state}, and {power.name.lower()} on {host}")
        volumes = {each.volume_id for each in disks.get(server.id, []) if each.volume_id is not None}
        if set(record["volumes"]) != volumes:
            yield look.found(server.id, f"host {host} remembers other volumes of the server than it has")
        if set(record["ports"]) != {port.id for port in ports.get(server.id, [])}:
            yield look.found(server.id, f"host {host} remembers other ports of the server than it has")
