# SPDX-License-Identifier: Apache-2.0
"""Whether what the cloud says of its use is what is there, and whether anything is left when nothing should be."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import column, func, select, table, text

from cumulet.kernel.db import sql
from kills.world import COMPUTE, NETWORK, World

PAGE = 1000  # things a request
# Tables that tell of the past; those that mark what is deleted are counted by what is not.
HISTORY = frozenset(
    (
        "kernel_saga", "kernel_outbox", "kernel_lease", "compute_action",
        "compute_action_event", "compute_migration", "placement_change",
        "image_task", "identity_revocation",
    )
)  # fmt: skip


_NAMES = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
_NAMES_OF_MARKED = text("SELECT table_name FROM information_schema.columns WHERE column_name = 'deleted_at'")
_ALWAYS = (".log", ".lock", ".sock", "/state.mp", "/consoles/door.mp")
# Hosts' copies of images, which the image service examines itself, and drafts, which go when they are old.
_ELSEWHERE = ("/agent/images/", "/images/drafts/")


class Ledger:
    """What there is now, to be compared with what there is later: rows by table, files by host."""

    def __init__(self, world: World) -> None:
        self.rows = _rows(world)
        self.files = _files(world)

    def left(self, world: World) -> list[str]:
        """What has been left by whatever was done since."""
        rows, files = _rows(world), _files(world)
        more = {name: count - self.rows.get(name, 0) for name, count in rows.items() if name not in HISTORY}
        wrong = [f"{count} rows are left in {name}" for name, count in sorted(more.items()) if count > 0]
        copies = (*world.keep, world.image)  # of images that stay
        new = [path for path in files - self.files if not any(image in path for image in copies)]
        kept = Counter(path.rpartition("/")[0] for path in new)
        return [*wrong, *(f"{count} files are left in {folder}" for folder, count in sorted(kept.items()))]


def differences(world: World) -> list[str]:
    """Where usage as told by compute, placement and block storage is not that of the servers and volumes there are."""
    servers = _all(world, f"{COMPUTE}/servers/detail?soft_deleted=True&", "servers")
    return [
        *_quota(world, servers),
        *_storage_quota(world),
        *_network_quota(world),
        *_hypervisors(world, servers),
        *_tenant_usage(world, servers),
    ]


def _quota(world: World, servers: list[Any]) -> list[str]:
    told = world.ask("GET", f"{COMPUTE}/limits")["limits"]["absolute"]
    counted = [each for each in servers if each["status"] != "SOFT_DELETED"]
    sums = {
        "totalInstancesUsed": len(counted),
        "totalCoresUsed": sum(each["flavor"]["vcpus"] for each in counted),
        "totalRAMUsed": sum(each["flavor"]["ram"] for each in counted),
    }
    return _compare("compute's limits", told, sums)


def _storage_quota(world: World) -> list[str]:
    told = world.ask("GET", f"{world.volumes_root}/limits")["limits"]["absolute"]
    volumes = _all(world, f"{world.volumes_root}/volumes/detail?", "volumes")
    snapshots = _all(world, f"{world.volumes_root}/snapshots/detail?", "snapshots")
    sums = {
        "totalVolumesUsed": len(volumes),
        "totalSnapshotsUsed": len(snapshots),
        "totalGigabytesUsed": sum(each["size"] for each in (*volumes, *snapshots)),
    }
    return _compare("block storage's limits", told, sums)


def _network_quota(world: World) -> list[str]:
    told = world.ask("GET", f"{NETWORK}/quotas/{world.project}/details")["quota"]["port"]
    ports = world.ask("GET", f"{NETWORK}/ports?project_id={world.project}")["ports"]
    return _compare("network's quota of ports", told, {"used": len(ports)})


def _hypervisors(world: World, servers: list[Any]) -> list[str]:
    wrong, sums = [], Counter[str]()
    version = "compute 2.87"  # the last one that tells what hosts have in use
    for host in world.ask("GET", f"{COMPUTE}/os-hypervisors/detail", version=version)["hypervisors"]:
        here = [each for each in servers if each["OS-EXT-SRV-ATTR:host"] == host["hypervisor_hostname"]]
        used = {
            "running_vms": len(here),
            "vcpus_used": sum(each["flavor"]["vcpus"] for each in here),
            "local_gb_used": sum(each["flavor"]["disk"] for each in here),
        }
        wrong += _compare(f"hypervisor {host['hypervisor_hostname']}", host, used)
        sums.update(used)
        claimed = world.ask("GET", f"/placement/resource_providers/{host['id']}/usages")["usages"]
        # The memory of servers that are resized is claimed twice until somebody says that all is well.
        waiting = any(each["status"] == "VERIFY_RESIZE" for each in here)
        if not waiting:
            wanted = {"VCPU": used["vcpus_used"], "MEMORY_MB": sum(each["flavor"]["ram"] for each in here)}
            wrong += _compare(f"placement of {host['hypervisor_hostname']}", claimed, wanted)
    told = world.ask("GET", f"{COMPUTE}/os-hypervisors/statistics", version=version)["hypervisor_statistics"]
    return [*wrong, *_compare("the hypervisors' statistics", told, sums)]


def _tenant_usage(world: World, servers: list[Any]) -> list[str]:
    """Every server that runs is counted as running, and every one that is gone as ended."""
    found: dict[str, Any] = {}
    marker = ""
    while True:
        path = f"{COMPUTE}/os-simple-tenant-usage/{world.project}?start=2000-01-01T00:00:00&limit={PAGE}{marker}"
        page = world.ask("GET", path)["tenant_usage"].get("server_usages", [])
        found |= {each["instance_id"]: each for each in page}
        if not page:
            break
        marker = f"&marker={page[-1]['instance_id']}"
    running = {key for key, each in found.items() if each["ended_at"] is None}
    alive = {each["id"] for each in servers if each["OS-SRV-USG:launched_at"]}
    wrong = [f"usage counts {key} as running, which is gone" for key in sorted(running - {e["id"] for e in servers})]
    wrong += [f"usage does not count {key}, which runs" for key in sorted(alive - running)]
    return wrong


def _compare(who: str, told: Any, wanted: dict[str, Any] | Counter[str]) -> list[str]:
    return [
        f"{who}: {name} is said to be {told.get(name, 0)}, and is {value}"
        for name, value in sorted(wanted.items())
        if told.get(name, 0) != value
    ]


def _all(world: World, path: str, key: str) -> list[Any]:
    found: list[Any] = []
    marker = ""
    while page := world.ask("GET", f"{path}limit={PAGE}{marker}")[key]:
        found += page
        marker = f"&marker={page[-1]['id']}"
    return found


def _rows(world: World) -> dict[str, int]:
    """How many rows each table has, without those that are only there to tell of what was deleted."""
    db = world.cloud.db
    marked = set(sql.column(db, _NAMES_OF_MARKED))
    counts = {}
    for name in sorted(sql.column(db, _NAMES)):
        query = select(func.count()).select_from(table(name))
        counts[name] = int(sql.scalar(db, query.where(column("deleted_at").is_(None)) if name in marked else query))
    return counts


def _files(world: World) -> set[str]:
    """The files of all parts, named from the folder of the cloud on."""
    found = set()
    for state in world.cloud.states:
        found |= {f"{state.name}/{path.relative_to(state)}" for path in state.rglob("*") if path.is_file()}
    return {path for path in found if not path.endswith(_ALWAYS) and not any(part in path for part in _ELSEWHERE)}
