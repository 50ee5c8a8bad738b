# SPDX-License-Identifier: Apache-2.0
"""How much of what projects used over a time: servers, and the sums of a project's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.db import Source
from cumulet.kernel.errors import Invalid
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Server

TERMINATED = "terminated"
_SECONDS_AN_HOUR = 3600.0
_MONTHS = 12


class ServerUsage(msgspec.Struct):
    """What one server used: `hours` within the time asked for, `uptime` in seconds since its start; MiB and GiB."""

    server: Server
    hours: float
    uptime: int
    memory: int
    disk: int
    vcpus: int

    @property
    def state(self) -> str:
        return TERMINATED if self.server.terminated_at is not None else self.server.vm_state


class ProjectUsage(msgspec.Struct):
    """The sums of a project's servers; each total is an amount times hours."""

    project_id: str
    servers: list[ServerUsage]

    @property
    def totals(self) -> dict[str, Any]:
        return {
            "total_hours": sum(each.hours for each in self.servers),
            "total_vcpus_usage": sum(each.vcpus * each.hours for each in self.servers),
            "total_memory_mb_usage": sum(each.memory * each.hours for each in self.servers),
            "total_local_gb_usage": sum(each.disk * each.hours for each in self.servers),
        }


def within(
    source: Source, start: datetime, stop: datetime, project_id: str | None, marker: str | None, limit: int | None
) -> list[ServerUsage]:
    """What the servers of a project (None: of all) used between two moments, by project and id, after `marker`.

    Invalid for a marker that is none of them.
    """
    found = sorted(
        store.alive_within(source, start, stop, project_id), key=lambda server: (server.project_id, server.id)
    )
    if marker is not None:
        ids = [server.id for server in found]
        if marker not in ids:
            raise Invalid(f"Marker {marker} could not be found.", code="MarkerNotFound")
        found = found[ids.index(marker) + 1 :]
    return [_usage(server, start, stop) for server in found[:limit]]


def by_project(usages: Sequence[ServerUsage]) -> list[ProjectUsage]:
    """The same, one project after the other."""
    found: dict[str, ProjectUsage] = {}
    for each in usages:
        project_id = each.server.project_id
        found.setdefault(project_id, ProjectUsage(project_id, [])).servers.append(each)
    return list(found.values())


def last_month(before: datetime) -> tuple[datetime, datetime]:
    """Begin and end of the last calendar month that had ended before the moment.

    Invalid for a moment before which no month can be named.
    """
    end = before.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    if end == before:
        end = _month_before(end)
    return _month_before(end), end


def _month_before(first: datetime) -> datetime:
    if first.month > 1:
        return first.replace(month=first.month - 1)
    if first.year == 1:
        raise Invalid(f"Invalid timestamp for date {first}")
    return first.replace(year=first.year - 1, month=_MONTHS)


def _usage(server: Server, start: datetime, stop: datetime) -> ServerUsage:
    launched, ended, kind = server.launched_at or server.created_at, server.terminated_at, server.kind
    counted = min(stop, ended or stop) - max(start, launched)
    return ServerUsage(
        server=server,
        hours=max(0.0, counted.total_seconds() / _SECONDS_AN_HOUR),
        uptime=max(0, int(((ended or clock.utcnow()) - launched).total_seconds())),
        memory=kind.ram,
        disk=kind.disk + kind.ephemeral,
        vcpus=kind.vcpus,
    )
