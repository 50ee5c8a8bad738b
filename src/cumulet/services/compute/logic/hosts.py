# SPDX-License-Identifier: Apache-2.0
"""Hosts: what they reported, whether they are up, and their zones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.compute.logic import offers
from cumulet.services.compute.store import hosts as store
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import ComputeHost, Flavor

DEFAULT_ZONE = "nova"
MOST_OF_A_CLASS = 2**31 - 1  # of a resource class, in placement
_SPEC_PREFIXES = ("trait:", "resources:")


def joined(cloud: Cloud, name: str, report: dict[str, Any]) -> None:
    """A host told the truth about itself: keep it, and say in placement what it has."""
    capabilities, usage = report["capabilities"], report["usage"]

    def write(tx: Tx) -> None:
        found = store.find(tx, name)
        before = {} if found is None else found.capabilities
        now = clock.utcnow()
        if found is None:
            found = ComputeHost(
                name=name,
                id=ids.new_uuid(),
                number=store.next_number(tx),
                service_id=ids.new_uuid(),
                capabilities=capabilities,
                usage=usage,
                disabled=False,
                disabled_reason=None,
                forced_down=False,
                created_at=now,
                updated_at=now,
            )
            store.add(tx, found)
        left = offers.make(cloud, tx, found, before, capabilities)
        store.change(tx, name, {"capabilities": offers.kept(capabilities, left), "usage": usage, "updated_at": now})

    cloud.db.write(write)


def heard_from(cloud: Cloud, name: str, usage: dict[str, Any]) -> None:
    """A host answered: what it spends now."""
    cloud.db.write(lambda tx: store.change(tx, name, {"usage": usage, "updated_at": clock.utcnow()}))


def find_all(source: Source) -> list[ComputeHost]:
    return store.find_all(source)


def find(source: Source, name: str) -> ComputeHost:
    found = store.find(source, name)
    if found is None:
        raise NotFound(f"Compute host {name} could not be found.", code="ComputeHostNotFound")
    return found


def is_up(cloud: Cloud, host: ComputeHost) -> bool:
    """Whether the host's link is there and nobody declared it down."""
    return not host.forced_down and cloud.hosts.is_connected(host.name)


def change(cloud: Cloud, name: str, changes: dict[str, Any]) -> ComputeHost:
    """Enable, disable, force down."""

    def write(tx: Tx) -> ComputeHost:
        find(tx, name)
        store.change(tx, name, {**changes, "updated_at": clock.utcnow()})
        return find(tx, name)

    return cloud.db.write(write)


def built(cloud: Cloud, tx: Tx, name: str, *, well: bool) -> None:
    """Note that the host has built a server, or could not; see `ComputeHost.failed_builds`."""
    if well:
        store.forget_failed_builds(tx, name)
    elif cloud.settings.compute.consecutive_build_service_disable_threshold:
        store.count_failed_build(tx, name)


def remove(cloud: Cloud, host: ComputeHost) -> None:
    """Forget a host that runs no servers."""

    def write(tx: Tx) -> None:
        if servers_store.on_host(tx, host.name):
            raise Conflict(
                "Unable to delete compute service that is hosting instances. Migrate or delete the instances first."
            )
        offers.remove(cloud, tx, host)
        for aggregate in store.aggregates(tx):
            if host.name in aggregate.hosts:
                left = [each for each in aggregate.hosts if each != host.name]
                store.change_aggregate(tx, aggregate.id, {"hosts": left})
        store.remove(tx, host.name)

    cloud.db.write(write)


def zones(source: Source) -> dict[str, list[ComputeHost]]:
    """The availability zones and their hosts; a host that no aggregate puts elsewhere is in the default zone."""
    named = _named_zones(source)
    found: dict[str, list[ComputeHost]] = {}
    for host in store.find_all(source):
        found.setdefault(named.get(host.name, DEFAULT_ZONE), []).append(host)
    return found or {DEFAULT_ZONE: []}


def zone_of(source: Source, name: str) -> str:
    """The zone of a host; that of a host of nobody is the default."""
    return zones_of(source, [name])[name]


def zones_of(source: Source, names: Iterable[str]) -> dict[str, str]:
    """The zone of each of these hosts."""
    named = _named_zones(source)
    return {name: named.get(name, DEFAULT_ZONE) for name in names}


def _named_zones(source: Source) -> dict[str, str]:
    """The zone of each host that an aggregate puts into one; the first aggregate counts."""
    found: dict[str, str] = {}
    for aggregate in store.aggregates(source):
        zone = aggregate.metadata.get("availability_zone")
        if zone:
            found.update({name: zone for name in aggregate.hosts if name not in found})
    return found


def check_zone(source: Source, zone: str | None) -> None:
    if zone is not None and zone not in zones(source):
        raise Invalid("The requested availability zone is not available", code="InvalidAvailabilityZone")


def check_exists(source: Source, name: str) -> None:
    if store.find(source, name) is None:
        raise Invalid(f"Compute host {name} could not be found.", code="ComputeHostNotFound")


def resources(flavor: Flavor, *, with_disk: bool) -> dict[str, int]:
    """What a server of the flavor takes of its host; the root disk only where it is local."""
    disk = flavor.ephemeral + -(-flavor.swap // 1024) + (flavor.disk if with_disk else 0)
    wanted = {"VCPU": flavor.vcpus, "MEMORY_MB": flavor.ram, "DISK_GB": disk}
    for key, value in flavor.extra_specs.items():
        if key.startswith("resources:") and value.isascii() and value.isdigit():
            wanted[key.removeprefix("resources:")] = min(int(value), MOST_OF_A_CLASS)
    return {name: amount for name, amount in wanted.items() if amount}
