# SPDX-License-Identifier: Apache-2.0
"""The hosts' backup services: every host that keeps volumes has one, which an administrator may disable."""

from __future__ import annotations

from datetime import datetime

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, NotFound, NotReady
from cumulet.services.block_storage.logic import backends
from cumulet.services.block_storage.store import backups as store
from cumulet.services.block_storage.types import Backend
from cumulet.services.block_storage.types.backups import Backup

BINARY = "cinder-backup"


def find_all(source: Source) -> list[tuple[Backend, bool, str | None]]:
    """One back end of each host, whether its backup service is disabled, and why."""
    disabled = store.disabled(source)
    hosts = {host: _at(one, host) for one in reversed(backends.find_all(source)) for host in one.hosts}
    return [
        (one, host in disabled, disabled[host].disabled_reason if host in disabled else None)
        for host, one in sorted(hosts.items())
    ]


def enable(tx: Tx, host: str, *, enabled: bool, reason: str | None = None) -> None:
    """Let backups be made and restored on the host, or not. Raises NotFound."""
    host = host.partition("@")[0]
    if host not in {each for one in backends.find_all(tx) for each in one.hosts}:
        raise NotFound(f"Service {BINARY} could not be found on host {host}.", code="ServiceNotFound")
    if enabled:
        store.enable(tx, host)
    else:
        store.disable(tx, host, reason)


def check(cloud: Cloud, source: Source, zone: str | None) -> None:
    """Raise NotFound unless some backup service of the zone (None: any) works."""
    if not _working(source, zone):
        raise NotFound(f"Service {BINARY} could not be found.", code="ServiceNotFound")


def check_host(source: Source, host: str, zone: str | None) -> None:
    """Raise Conflict where the host may not make a backup in that zone."""
    for one, disabled, _ in find_all(source):
        if one.host == host and not disabled and zone in (None, one.availability_zone):
            return
    raise Conflict(f"Service {BINARY} could not be found.", code="ServiceNotFound")


def zone_of(source: Source, host: str) -> str | None:
    """The availability zone of a host's backup service."""
    return next((one.availability_zone for one, _, _ in find_all(source) if one.host == host), None)


def who_may_have(cloud: Cloud, backup: Backup) -> list[str]:
    """The hosts in whose store an imported backup may be, the likeliest first; NotReady where none is connected."""
    connected = sorted(info.name for info in cloud.hosts.connected())
    if not connected:
        raise NotReady("No host is connected that could look for the backup.")
    found = sorted(connected, key=lambda host: host != backup.host)
    return found[:1] if cloud.settings.volume_backups.is_shared else found


def who_reads(cloud: Cloud, backup: Backup) -> list[str]:
    """The hosts that can be asked for what is stored of a backup, the best first.

    None where the only one has left the cloud. Raises NotReady where none of them is connected.
    """
    connected = sorted(info.name for info in cloud.hosts.connected())
    if cloud.settings.volume_backups.is_shared or not backup.host:
        hosts = sorted(connected, key=lambda host: host != backup.host)
    elif backup.host not in cloud.hosts.known():
        return []
    else:
        hosts = [backup.host] if backup.host in connected else []
    if not hosts:
        raise NotReady("No host is connected that could reach the backup.")
    return hosts


def _at(one: Backend, host: str) -> Backend:
    """What is heard of one of a back end's hosts."""
    if one.host == host:
        return one
    return msgspec.structs.replace(one, host=host, heard_at=datetime.fromisoformat(one.report["hosts"][host]))


def _working(source: Source, zone: str | None) -> list[str]:
    return [
        one.host
        for one, disabled, _ in find_all(source)
        if not disabled and backends.is_up(one) and zone in (None, one.availability_zone)
    ]
