# SPDX-License-Identifier: Apache-2.0
"""What must be true of a cloud at rest: database, host and files agree, and nothing is without an owner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pyroute2 import netns

from cumulet.kernel import door
from cumulet.services.network.drivers.fabric import names
from support.real_cloud import RealCloud


def violations(cloud: RealCloud) -> list[str]:
    """Every disagreement, in words."""
    return [
        *_sagas(cloud),
        *_allocations(cloud),
        *_hypervisors(cloud),
        *_server_files(cloud),
        *_ports(cloud),
        *_volumes(cloud),
        *_examined(cloud),
    ]


def _examined(cloud: RealCloud) -> Iterator[str]:
    """What the cloud itself finds."""
    answer = door.ask(door.path_of(cloud.settings.run, "control"), "audit", timeout=120.0, seconds=0.0)
    for each in answer["findings"]:
        yield f"{each['service']}: {each['text']} ({each['subject']})"


def _column(cloud: RealCloud, query: str) -> set[str]:
    with cloud.tables() as tables:
        return {row[0] for row in tables.execute(query)}


def _sagas(cloud: RealCloud) -> Iterator[str]:
    for flow in sorted(_column(cloud, "SELECT flow FROM kernel_saga WHERE finished_at IS NULL")):
        yield f"the saga {flow} has not ended"


def _servers(cloud: RealCloud) -> set[str]:
    return _column(cloud, "SELECT id FROM compute_server WHERE deleted_at IS NULL")


def _allocations(cloud: RealCloud) -> Iterator[str]:
    held = _column(cloud, "SELECT consumer_uuid FROM placement_allocation")
    placed = _column(
        cloud, "SELECT id FROM compute_server WHERE deleted_at IS NULL AND host IS NOT NULL AND host != ''"
    )
    for consumer in held - _servers(cloud):
        yield f"allocation without a server: {consumer}"
    for server in placed - held:
        yield f"server without an allocation: {server}"


def _hypervisors(cloud: RealCloud) -> Iterator[str]:
    running = hypervisor_processes(cloud)
    for server, count in running.items():
        if server not in _servers(cloud):
            yield f"QEMU without a server: {server}"
        if count > 1:
            yield f"{count} QEMU processes for {server}"
    for server in _column(cloud, "SELECT id FROM compute_server WHERE deleted_at IS NULL AND vm_state = 'active'"):
        if server not in running:
            yield f"active server without QEMU: {server}"


def hypervisor_processes(cloud: RealCloud) -> dict[str, int]:
    """How many QEMU processes of this cloud there are for each server id."""
    found: dict[str, int] = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").split("\0")
        except OSError:
            continue
        if "qemu" not in words[0] or not any(str(cloud.settings.state) in word for word in words):
            continue
        server = words[words.index("-uuid") + 1]
        found[server] = found.get(server, 0) + 1
    return found


def _server_files(cloud: RealCloud) -> Iterator[str]:
    folder = cloud.settings.state / "agent" / "compute" / "servers"
    for path in folder.glob("*") if folder.is_dir() else ():
        if path.name not in _servers(cloud):
            yield f"files without a server: {path.name}"


def _ports(cloud: RealCloud) -> Iterator[str]:
    for port in _column(
        cloud, "SELECT device_id FROM network_port WHERE device_owner LIKE 'compute:%' AND device_id != ''"
    ) - _servers(cloud):
        yield f"port of a server that is gone: {port}"


def _volumes(cloud: RealCloud) -> Iterator[str]:
    known = _column(cloud, "SELECT id FROM block_storage_volume")
    for path in (cloud.settings.state / "agent" / "block_storage" / "volumes").glob("*"):
        if path.name.partition(".")[0] not in known:
            yield f"file without a volume: {path.name}"
    moving = "SELECT id FROM block_storage_volume WHERE status IN ('attaching', 'detaching', 'creating', 'deleting')"
    for volume in _column(cloud, moving):
        yield f"volume half-way: {volume}"


def host_leftovers(cloud: RealCloud) -> list[str]:
    """Namespaces and processes of this cloud that are still there, for after `cumulet down`."""
    mark = names.fabric(names.suffix(cloud.settings.state / "agent"))
    return [*(name for name in netns.listnetns() if name.startswith(mark)), *hypervisor_processes(cloud)]
