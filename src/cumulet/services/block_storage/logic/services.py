# SPDX-License-Identifier: Apache-2.0
"""The parts of the service as Cinder counts them: this replica as the scheduler, back ends, backup services."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.block_storage.logic import backends, backup_services
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.store import backends as store
from cumulet.services.block_storage.types import Backend, is_place_of

VOLUME, SCHEDULER, BACKUP, API = "cinder-volume", "cinder-scheduler", "cinder-backup", "cinder-api"
FROZEN = "frozen"


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A part: `id` counts them as they are listed, `agent` is the host whose agent it is, "" for a replica.

    `backend` is that of a volume service.
    """

    id: int
    binary: str
    host: str
    zone: str
    heard_at: datetime
    agent: str = ""
    is_up: bool = True
    disabled: bool = False
    disabled_reason: str | None = None
    backend: Backend | None = None

    def is_at(self, place: str) -> bool:
        """Whether `host`, `host@backend` or `host@backend#pool` means it."""
        one = self.backend
        return place == self.host if one is None else is_place_of(place, one.host, one.name)


def find(cloud: Cloud, host: str | None = None, binary: str | None = None) -> list[Service]:
    """The scheduler, the back ends by host and name, the backup services by host; narrowed to a place and a kind."""
    zone = cloud.settings.block_storage.storage_availability_zone
    scheduler = Service(id=1, binary=SCHEDULER, host=cloud.settings.host, zone=zone, heard_at=clock.utcnow())
    makers = [scheduler, *_of_volumes(cloud.db), *_of_backups(cloud.db)]
    rows = [msgspec.structs.replace(one, id=number) for number, one in enumerate(makers, start=1)]
    return [row for row in rows if (not host or row.is_at(host)) and (not binary or row.binary == binary)]


def _of_volumes(source: Source) -> Iterator[Service]:
    for one in backends.find_all(source):
        yield Service(
            id=0,
            binary=VOLUME,
            host=one.full_name,
            zone=one.availability_zone,
            heard_at=one.heard_at,
            agent=one.keeper,
            is_up=backends.is_up(one),
            disabled=one.disabled,
            disabled_reason=one.disabled_reason,
            backend=one,
        )


def _of_backups(source: Source) -> Iterator[Service]:
    for one, disabled, reason in backup_services.find_all(source):
        yield Service(
            id=0,
            binary=BACKUP,
            host=one.host,
            zone=one.availability_zone,
            heard_at=one.heard_at,
            agent=one.host,
            is_up=backends.is_up(one),
            disabled=disabled,
            disabled_reason=reason,
        )


def freeze(tx: Tx, place: str) -> None:
    """Let nothing on the back end be made or changed. Invalid where it is frozen already."""
    found = _one(tx, place)
    if found.frozen:
        raise _refused(found, "frozen", "False")
    store.change(tx, found.host, found.name, frozen=True, disabled=True, disabled_reason=FROZEN)


def thaw(tx: Tx, place: str) -> None:
    """End that. Invalid where it is not frozen."""
    found = _one(tx, place)
    if not found.frozen:
        raise _refused(found, "frozen", "True")
    store.change(tx, found.host, found.name, frozen=False, disabled=False, disabled_reason="")


def fail_over(source: Source, place: str) -> None:
    """Refused for every back end, since none is replicated."""
    raise _refused(_one(source, place), "replication_status", "['enabled', 'failed-over'] and must be up")


def check_not_frozen(source: Source, host: str, backend: str) -> None:
    """Raise Invalid where what is on the back end may not be changed."""
    found = backends.find(source, host, backend) if host else None
    if found is not None and found.frozen:
        raise invalid_input("Modification operations are not allowed on frozen storage backends.")


def shown_host(source: Source, name: str) -> Backend:
    """A back end that takes volumes, under its whole name or, for what it holds, that of its host. Raises NotFound."""
    found = [one for one in backends.named(source, name) if not one.disabled]
    if not found:
        raise NotFound(f"Service {VOLUME} could not be found on host {name}.", code="ServiceNotFound")
    return found[0]


def _one(source: Source, place: str) -> Backend:
    found = backends.named(source, place)
    if not found:
        raise Invalid(f"No service found with host={place}")
    if len(found) > 1:
        raise invalid_input("Services from different clusters found.")
    return found[0]


def _refused(one: Backend, field: str, expected: str) -> Exception:
    return invalid_input(f"No service could be changed: {field} in ['{one.full_name}'] must be {expected} to failover.")
