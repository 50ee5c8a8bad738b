# SPDX-License-Identifier: Apache-2.0
"""Whether the cloud is what its rows say: every service looks at its rows, contracts and hosts, and changes nothing.

`services/<type>/audit.py` exports `audit(look: Look) -> Iterator[Finding]`. On a cloud at work some of what one look
finds is only under way, so several looks are taken, and what all of them found counts. `cumulet check` asks for it at
the control plane's door, since hosts are joined there.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import func, select

from cumulet.kernel import clock
from cumulet.kernel.db import sql, tables
from cumulet.kernel.db.tx import Source
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.link.host import INVENTORY

if TYPE_CHECKING:
    from cumulet.kernel.cloud import Cloud

PAUSE = 0.5  # seconds between two looks
LATE = 10.0  # seconds after which an event should have left

Body = dict[str, Any]


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it should be: whose affair it is, the id of what is wrong, and how, in words."""

    service: str
    subject: str
    text: str


@dataclass(frozen=True)
class Look:
    """What a service's audit is given.

    `hosts` is what each host that answered says it has of this service, by host. `busy` are the subjects of unfinished
    sagas: what is wrong with them may be about to be put right, and is nobody's concern but theirs.
    """

    cloud: Cloud
    service: str
    hosts: Mapping[str, Body] = field(default_factory=dict)
    busy: frozenset[str] = frozenset()

    def found(self, subject: str, text: str) -> Finding:
        """A finding of this service."""
        return Finding(self.service, subject, text)


def examine(cloud: Cloud) -> set[Finding]:
    """One look at everything."""
    found = set(_kernel(cloud))
    busy = frozenset(_busy(cloud.db))
    told, silent = _ask_hosts(cloud)
    found |= silent
    for service in cloud.services:
        room = service.room("audit")
        if room is not None:
            hosts = {host: said[service.package] for host, said in told.items() if service.package in said}
            found |= set(room.audit(Look(cloud, service.package, hosts, busy)))
    return found


def stays(cloud: Cloud, seconds: float) -> list[Finding]:
    """What every look within so many seconds finds, sorted; returns at once where the first finds nothing."""
    end = time.monotonic() + seconds
    found = examine(cloud)
    while found and time.monotonic() < end:
        time.sleep(PAUSE)
        found &= examine(cloud)
    return sorted(found, key=lambda each: (each.service, each.subject, each.text))


def door_verb(cloud: Cloud) -> Callable[[Body], Any]:
    """The verb `audit` of the control plane's door: `{"seconds": how long to look}`; who was asked, what was found."""

    def answer(words: Body) -> Body:
        found = stays(cloud, float(words.get("seconds", 0.0)))
        hosts = sorted(host.name for host in cloud.hosts.connected())
        return {"hosts": hosts, "findings": [msgspec.to_builtins(each) for each in found]}

    return answer


def unfinished(source: Source) -> list[str]:
    """The sagas that have not ended, in words."""
    saga = tables.saga.c
    query = select(saga.id, saga.flow, saga.subject, saga.status, saga.step, saga.attempts)
    rows = sql.tuples(source, query.where(saga.finished_at.is_(None)).order_by(saga.id))
    return [f"{flow} of {subject}: {status} at step {step}, attempt {n}" for _, flow, subject, status, step, n in rows]


def _kernel(cloud: Cloud) -> Iterator[Finding]:
    for words in unfinished(cloud.db):
        yield Finding("kernel", "", f"slow work has not ended: {words}")
    old = clock.now() - LATE
    waiting = sql.scalar(
        cloud.db, select(func.count()).select_from(tables.outbox).where(tables.outbox.c.created_at < old)
    )
    if waiting:
        yield Finding("kernel", "", "events wait in the outbox")


def _busy(source: Source) -> list[str]:
    saga = tables.saga.c
    return sql.column(source, select(saga.subject).where(saga.finished_at.is_(None)))


def _ask_hosts(cloud: Cloud) -> tuple[dict[str, Body], set[Finding]]:
    told: dict[str, Body] = {}
    silent: set[Finding] = set()
    for host in cloud.hosts.connected():
        try:
            told[host.name] = cloud.hosts.call(host.name, INVENTORY, {}, timeout=60.0)
        except CumuletError as error:
            silent.add(Finding("kernel", host.name, f"host {host.name} does not say what it has: {error.message}"))
    return told, silent
