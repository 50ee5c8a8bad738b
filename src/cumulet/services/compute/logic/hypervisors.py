# SPDX-License-Identifier: Apache-2.0
"""Hosts as hypervisors: what they have, what their servers were promised of it, and how long they have been up."""

from __future__ import annotations

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import NotFound
from cumulet.services.compute.logic import hosts, offers
from cumulet.services.compute.store import hosts as store
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import ComputeHost, Server

_SECONDS_A_MINUTE, _MINUTES_AN_HOUR, _HOURS_A_DAY = 60, 60, 24


def get(source: Source, key: str, *, by_number: bool) -> ComputeHost:
    """A host by its id, or by its old number; NotFound."""
    for host in store.find_all(source):
        if key == (str(host.number) if by_number else host.id):
            return host
    raise NotFound(f"Hypervisor with ID '{key}' could not be found.", code="ComputeHostNotFound")


def matching(source: Source, part: str) -> list[ComputeHost]:
    """The hosts with `part` in their names; NotFound where there is none."""
    found = [host for host in store.find_all(source) if part.lower() in host.name.lower()]
    if not found:
        raise NotFound(f"No hypervisor matching '{part}' could be found.")
    return found


def servers_on(source: Source, host: ComputeHost) -> list[Server]:
    return servers_store.on_host(source, host.name)


def numbers(source: Source, host: ComputeHost) -> dict[str, int]:
    """What the host has, what is promised to its servers and what is left; MiB and GiB.

    `disk_available_least` is what the disk itself has left. `current_workload` is the number of servers that something
    is being done to.
    """
    servers = servers_on(source, host)
    memory, disk = int(host.capabilities["memory"]), int(host.capabilities["disk"])
    reserved = {name: offers.share(host.capabilities, name).reserved for name in ("VCPU", "MEMORY_MB", "DISK_GB")}
    memory_used = reserved["MEMORY_MB"] + sum(int(server.flavor["ram"]) for server in servers)
    disk_used = reserved["DISK_GB"] + sum(
        int(server.flavor["disk"]) + int(server.flavor["ephemeral"]) for server in servers
    )
    return {
        "vcpus": offers.processors(host.capabilities),
        "memory_mb": memory,
        "local_gb": disk,
        "vcpus_used": reserved["VCPU"] + sum(int(server.flavor["vcpus"]) for server in servers),
        "memory_mb_used": memory_used,
        "local_gb_used": disk_used,
        "free_ram_mb": memory - memory_used,
        "free_disk_gb": disk - disk_used,
        "current_workload": sum(1 for server in servers if server.task_state is not None),
        "running_vms": len(servers),
        "disk_available_least": disk - int(host.usage["disk_used"]),
    }


def statistics(source: Source) -> dict[str, int]:
    """The sums of all enabled hosts, and their number as `count`."""
    enabled = [host for host in store.find_all(source) if not host.disabled]
    rows = [numbers(source, host) for host in enabled]
    names = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "free_ram_mb",
             "free_disk_gb", "current_workload", "running_vms", "disk_available_least")  # fmt: skip
    return {"count": len(enabled), **{name: sum(row[name] for row in rows) for name in names}}


def uptime(cloud: Cloud, host: ComputeHost) -> str | None:
    """The host's time, how long it has been up, and its load, in the words of uptime(1); None for a host that is down.

    Clients take this text apart.
    """
    if not hosts.is_up(cloud, host):
        return None
    # The report is as old as the row's last change; what has passed since then counts too.
    since = (clock.utcnow() - host.updated_at).total_seconds()
    minutes = int(float(host.usage["uptime"]) + since) // _SECONDS_A_MINUTE
    hours, minutes = divmod(minutes, _MINUTES_AN_HOUR)
    days, hours = divmod(hours, _HOURS_A_DAY)
    span = f"{hours:2d}:{minutes:02d}" if hours else f"{minutes} min"
    if days:
        span = f"{days} day{'s' if days > 1 else ''}, {span}"
    load = ", ".join(f"{value:.2f}" for value in host.usage["load"])
    return f" {clock.utcnow():%H:%M:%S} up {span},  0 users,  load average: {load}"
