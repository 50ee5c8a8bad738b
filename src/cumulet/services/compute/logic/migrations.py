# SPDX-License-Identifier: Apache-2.0
"""The record of servers that change their size or place, and what each such change holds in placement."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.compute.logic import hosts, parts, quotas, servers
from cumulet.services.compute.store import migrations as store
from cumulet.services.compute.types import Flavor, Migration, Server, VmState
from cumulet.services.network.contract import NetworkContract
from cumulet.services.placement.contract import Candidate, PlacementContract

Claims = dict[str, dict[str, int]]  # amounts by class by provider

CONSUMER = "MIGRATION"  # placement's word for who holds what a server took before
RESIZE, COLD, LIVE, EVACUATION = "resize", "migration", "live-migration", "evacuation"
ACCEPTED, PREPARING, MIGRATING, MIGRATED = "accepted", "pre-migrating", "migrating", "post-migrating"
FINISHED, CONFIRMING, CONFIRMED = "finished", "confirming", "confirmed"
REVERTING, REVERTED, ERROR = "reverting", "reverted", "error"
UNDER_WAY = quotas.GROWING
# In each of these a migration may hold something in placement.
UNENDED = (*UNDER_WAY, FINISHED, CONFIRMING, REVERTING)
LIVE_UNDER_WAY = ("queued", "preparing", "running", MIGRATED)


def add(
    tx: Tx, ctx: Context, server: Server, kind: str, new_flavor: Flavor, status: str, *, destination: str | None = None
) -> Migration:
    """Note that a change of the server begins."""
    new = Migration(
        id=store.next_id(tx),
        uuid=ids.new_uuid(),
        server_id=server.id,
        project_id=server.project_id,
        user_id=ctx.user_id,
        type=kind,
        status=status,
        source=server.host,
        destination=destination,
        old_flavor=server.flavor,
        new_flavor=msgspec.to_builtins(new_flavor),
        old_state=server.vm_state,
        created_at=clock.utcnow(),
        updated_at=None,
    )
    store.add(tx, new)
    return new


def get(source: Source, uuid: str) -> Migration:
    found = store.find(source, uuid)
    if found is None:
        raise NotFound(f"Migration {uuid} could not be found.", code="MigrationNotFound")
    return found


def set_status(tx: Tx, uuid: str, status: str, **changes: Any) -> None:
    store.change(tx, uuid, {"status": status, "updated_at": clock.utcnow(), **changes})


def finished(source: Source, server: Server) -> Migration:
    """The one that the server's user has to confirm or to revert; Invalid where there is none."""
    found = store.of_server(source, server.id, [FINISHED])
    if not found:
        raise Invalid("Instance has not been resized.", code="MigrationNotFoundByStatus")
    return found[-1]


def unended(source: Source, server_id: str) -> list[Migration]:
    """The server's migrations that may hold something in placement."""
    return store.of_server(source, server_id, UNENDED)


def hold(cloud: Cloud, tx: Tx, server: Server, migration: Migration, candidate: Candidate) -> None:
    """Let the server hold what it is about to take, and the migration what it took so far. Conflict for no room."""
    placement = cloud.contracts.use(PlacementContract)
    before = placement.allocation(tx, server.id)
    home, devices = hosts.find(tx, server.host), parts.of_ports(tx, server.id)
    ports = _held_for_ports(cloud, tx, server)
    if before is not None and placement.allocation(tx, migration.uuid) is None:
        placement.release(tx, server.id)
        own = _less(before.resources, both(ports, parts.claims_of(cloud, home, devices)))
        placement.claim(tx, migration.uuid, own, server.project_id, server.user_id, CONSUMER)
        parts.keep(tx, server.id, migration.uuid)
    wanted = parts.of_server(cloud, server, msgspec.convert(migration.new_flavor, Flavor))
    claim = parts.hold(cloud, tx, server, home, wanted, candidate.allocations, devices)
    placement.claim(tx, server.id, both(claim, ports), server.project_id, server.user_id)


def take_back(cloud: Cloud, tx: Tx, server: Server, migration: Migration) -> None:
    """Let the server hold what it held before; nothing happens where it does."""
    placement = cloud.contracts.use(PlacementContract)
    before = placement.allocation(tx, migration.uuid)
    if before is not None:
        placement.release(tx, migration.uuid)
        placement.release(tx, server.id)
        devices = parts.claims_of(cloud, hosts.find(tx, server.host), parts.of_ports(tx, server.id))
        whole = both(before.resources, both(_held_for_ports(cloud, tx, server), devices))
        placement.claim(tx, server.id, whole, server.project_id, server.user_id)
        parts.take_back(tx, server.id, migration.uuid)


def _held_for_ports(cloud: Cloud, tx: Tx, server: Server) -> Claims:
    """What the server holds for its ports, which stay as they are while its flavor changes."""
    return cloud.contracts.use(NetworkContract).held_for_ports(tx, [server.id]).get(server.id, {})


def both(claim: Claims, more: Claims) -> Claims:
    """What the two hold together."""
    found = {provider: dict(amounts) for provider, amounts in claim.items()}
    for provider, amounts in more.items():
        mine = found.setdefault(provider, {})
        for name, amount in amounts.items():
            mine[name] = mine.get(name, 0) + amount
    return found


def _less(claim: Claims, less: Claims) -> Claims:
    """What is left of a claim without a part of it."""
    return {
        provider: {name: max(0, amount - less.get(provider, {}).get(name, 0)) for name, amount in amounts.items()}
        for provider, amounts in claim.items()
    }


def end(cloud: Cloud, tx: Tx, migration: Migration, status: str) -> None:
    """The migration came to its end, and holds nothing any more."""
    cloud.contracts.use(PlacementContract).release(tx, migration.uuid)
    parts.release(tx, migration.uuid)
    set_status(tx, migration.uuid, status)


def server_gone(cloud: Cloud, tx: Tx, server_id: str) -> None:
    """The server was deleted: what waited for a word of its user counts as confirmed."""
    for each in unended(tx, server_id):
        end(cloud, tx, each, ERROR if each.status in UNDER_WAY else CONFIRMED)


def find_all(source: Source, criteria: store.Criteria, marker: str | None) -> list[Migration]:
    """Those that fit, after the one with the uuid `marker`; Invalid where there is no such."""
    last = None if marker is None else store.find(source, marker)
    if marker is not None and last is None:
        raise Invalid(f"Marker {marker} could not be found.", code="MarkerNotFound")
    return [] if criteria.limit == 0 else store.find_all(source, criteria, last)


def live_under_way(source: Source, server: Server) -> list[Migration]:
    """The live migrations of the server that have not come to an end."""
    return [each for each in store.of_server(source, server.id, LIVE_UNDER_WAY) if each.type == LIVE]


def get_live(source: Source, server: Server, number: str) -> Migration:
    """The server's live migration of this number that has not come to an end; NotFound."""
    found = _numbered(source, server, number)
    if found is None:
        raise NotFound(f"In-progress live migration {number} is not found for server {server.id}.")
    if found.type != LIVE:
        raise NotFound(f"Migration {number} for server {server.id} is not live-migration.")
    if found.status not in LIVE_UNDER_WAY:
        raise NotFound(f"Live migration {number} for server {server.id} is not in progress.")
    return found


def refuse_lively(ctx: Context, server: Server, verb: str, states: Iterable[VmState] = ()) -> NoReturn:
    """Conflict: nobody is migrated lively here, so that no such migration can be hurried on or given up."""
    servers.check_unlocked(ctx, server)
    if states and server.state not in states:
        raise servers.invalid_state(server, verb, "vm_state", server.vm_state)
    if server.task_state is not None:
        raise servers.invalid_state(server, verb, "task_state", server.task_state)
    raise Conflict(f"Instance {server.id} is in an invalid state for '{verb}'", code="InstanceInvalidState")


def _numbered(source: Source, server: Server, number: str) -> Migration | None:
    return store.find_numbered(source, server.id, int(number)) if number.isascii() and number.isdigit() else None
