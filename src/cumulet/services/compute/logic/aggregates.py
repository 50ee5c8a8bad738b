# SPDX-License-Identifier: Apache-2.0
"""Host aggregates and, through their metadata, availability zones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound
from cumulet.services.compute.store import hosts as store
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import Aggregate
from cumulet.services.image.contract import ImageContract
from cumulet.services.placement.contract import PlacementContract

ZONE = "availability_zone"
_LONGEST_NUMBER = 10  # digits


def find_all(source: Source) -> list[Aggregate]:
    return store.aggregates(source)


def get(source: Source, aggregate_id: str) -> Aggregate:
    is_number = aggregate_id.isascii() and aggregate_id.isdigit() and len(aggregate_id) < _LONGEST_NUMBER
    found = store.find_aggregate(source, int(aggregate_id)) if is_number else None
    if found is None:
        raise NotFound(f"Aggregate {aggregate_id} could not be found.", code="AggregateNotFound")
    return found


def create(cloud: Cloud, name: str, zone: str | None) -> Aggregate:
    def write(tx: Tx) -> Aggregate:
        _check_name(tx, name)
        new = Aggregate(
            id=store.next_aggregate_id(tx),
            uuid=ids.new_uuid(),
            name=name,
            metadata={ZONE: zone} if zone else {},
            hosts=[],
            created_at=clock.utcnow(),
            updated_at=None,
        )
        store.add_aggregate(tx, new)
        return new

    return cloud.db.write(write)


def update(cloud: Cloud, aggregate_id: str, wanted: Mapping[str, str | None]) -> Aggregate:
    """Change `name` and `availability_zone`, as far as they are there."""

    def write(tx: Tx) -> Aggregate:
        found = get(tx, aggregate_id)
        changes: dict[str, Any] = {"updated_at": clock.utcnow()}
        if "name" in wanted and wanted["name"] != found.name:
            _check_name(tx, str(wanted["name"]))
            changes["name"] = wanted["name"]
        if ZONE in wanted:
            _check_zone(tx, found, wanted[ZONE], "update aggregate")
            changes["metadata"] = {**found.metadata, ZONE: wanted[ZONE]}
        store.change_aggregate(tx, found.id, changes)
        return get(tx, aggregate_id)

    return cloud.db.write(write)


def set_metadata(cloud: Cloud, aggregate_id: str, metadata: dict[str, str | None]) -> Aggregate:
    """Set items, and take away those that are None."""

    def write(tx: Tx) -> Aggregate:
        found = get(tx, aggregate_id)
        if ZONE in metadata:
            _check_zone(tx, found, metadata[ZONE], "update metadata of aggregate")
        merged = {**found.metadata, **metadata}
        kept = {key: value for key, value in merged.items() if value is not None}
        store.change_aggregate(tx, found.id, {"metadata": kept})
        return get(tx, aggregate_id)

    return cloud.db.write(write)


def add_host(cloud: Cloud, aggregate_id: str, host: str) -> Aggregate:
    """Put a host into the aggregate; it can be in one availability zone only."""

    def write(tx: Tx) -> Aggregate:
        found = get(tx, aggregate_id)
        _check_host(tx, host)
        if host in found.hosts:
            raise Conflict(f"Aggregate {found.id} already has host {host}.", code="AggregateHostExists")
        zone = found.metadata.get(ZONE)
        others = _zones_of(tx, [host], found) - {zone}
        if zone and others:
            reason = f"One or more hosts already in availability zone(s) {sorted(others)}"
            raise _refused(Conflict, found, "add host to aggregate", reason)
        if zone and not _zones_of(tx, [host], found):
            _check_stays(tx, found, host, "added to", (None, zone), "add host to aggregate")
        return _set_hosts(cloud, tx, found, [*found.hosts, host], host)

    return cloud.db.write(write)


def remove_host(cloud: Cloud, aggregate_id: str, host: str) -> Aggregate:
    def write(tx: Tx) -> Aggregate:
        found = get(tx, aggregate_id)
        if host not in found.hosts:
            raise NotFound(f"Aggregate {found.id} has no host {host}.", code="AggregateHostNotFound")
        zone = found.metadata.get(ZONE)
        if zone and not _zones_of(tx, [host], found):
            _check_stays(tx, found, host, "removed from", (zone, None), "remove host from aggregate")
        return _set_hosts(cloud, tx, found, [each for each in found.hosts if each != host], host)

    return cloud.db.write(write)


def delete(cloud: Cloud, aggregate_id: str) -> None:
    """Remove an aggregate without hosts."""

    def write(tx: Tx) -> None:
        found = get(tx, aggregate_id)
        if found.hosts:
            raise _refused(Invalid, found, "remove host from aggregate", "Host aggregate is not empty")
        store.remove_aggregate(tx, found.id)

    cloud.db.write(write)


def cache_images(cloud: Cloud, ctx: Context, aggregate_id: str, image_ids: list[str]) -> None:
    """Let the aggregate's hosts fetch images, one after the other on each; Invalid for one that is not to be seen."""
    found = get(cloud.db, aggregate_id)
    for image_id in image_ids:
        try:
            cloud.contracts.use(ImageContract).get(cloud.db, ctx, image_id)
        except NotFound as error:
            raise Invalid(f"Image {image_id} could not be found.", code="ImageNotFound") from error

    def write(tx: Tx) -> None:
        for name in found.hosts:
            host = store.find(tx, name)
            if host is not None:
                args = {"host": name, "images": image_ids}
                cloud.sagas.start(tx, "compute.cache_images", host.id, args, ctx.request_id)

    cloud.db.write(write)


def _set_hosts(cloud: Cloud, tx: Tx, found: Aggregate, hosts: list[str], changed: str) -> Aggregate:
    store.change_aggregate(tx, found.id, {"hosts": hosts})
    host = store.find(tx, changed)
    if host is not None:
        members = [each.uuid for each in store.aggregates(tx) if changed in each.hosts]
        cloud.contracts.use(PlacementContract).set_aggregates(tx, host.id, members)
    return get(tx, str(found.id))


def _zones_of(tx: Tx, hosts: list[str], apart_from: Aggregate) -> set[str]:
    """The zones that other aggregates put these hosts into."""
    return {
        each.metadata[ZONE]
        for each in store.aggregates(tx)
        if each.id != apart_from.id and ZONE in each.metadata and set(hosts) & set(each.hosts)
    }


def _check_zone(tx: Tx, found: Aggregate, zone: str | None, verb: str) -> None:
    """Refuse a zone that the aggregate's hosts cannot be in: servers never move to another zone by themselves."""
    if not zone:
        reason = f"Aggregate {found.name} does not support empty named availability zone"
        raise _refused(Invalid, found, verb, reason)
    others = _zones_of(tx, found.hosts, found) - {zone}
    if others:
        reason = f"One or more hosts already in availability zone(s) {sorted(others)}"
        raise _refused(Invalid, found, verb, reason)
    if found.metadata.get(ZONE) != zone and any(servers_store.on_host(tx, host) for host in found.hosts):
        raise _refused(Invalid, found, verb, "One or more hosts contain instances in this zone")


def _check_stays(
    tx: Tx, found: Aggregate, host: str, done: str, zones: tuple[str | None, str | None], verb: str
) -> None:
    """Refuse to take a host with servers from one zone to another."""
    count = len(servers_store.on_host(tx, host))
    if count:
        old, new = zones
        reason = (
            f"The host cannot be {done} the aggregate as its availability zone would change from '{old}' to '{new}' "
            f"but it has {count} instance(s)"
        )
        raise _refused(Conflict, found, verb, reason)


def _refused(kind: type[CumuletError], found: Aggregate, verb: str, reason: str) -> CumuletError:
    return kind(f"Cannot {verb} {found.id}. Reason: {reason}.", code="InvalidAggregateAction")


def _check_name(tx: Tx, name: str) -> None:
    if any(each.name == name for each in store.aggregates(tx)):
        raise Conflict(f"Aggregate {name} already exists.", code="AggregateNameExists")


def _check_host(tx: Tx, host: str) -> None:
    if store.find(tx, host) is None:
        raise NotFound(f"Compute host {host} could not be found.", code="ComputeHostNotFound")
