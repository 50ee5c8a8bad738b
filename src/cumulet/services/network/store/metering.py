# SPDX-License-Identifier: Apache-2.0
"""Questions about metering labels, and the memory of hosts' reports."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy import or_, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network import tables
from cumulet.services.network.store import common
from cumulet.services.network.types.metering import MeteringLabel, MeteringLabelRule, MeterReport

_LABEL, _ROUTER = tables.metering_label, tables.router


def labels_of(source: Source, project_ids: Iterable[str]) -> list[MeteringLabel]:
    """The labels that count at these projects' routers."""
    own = sql.any_of(_LABEL.c.project_id, set(project_ids))
    return sql.rows(source, select(_LABEL).where(or_(_LABEL.c.shared, own)).order_by(_LABEL.c.id), MeteringLabel)


def rules_of(source: Source, label_ids: Iterable[str]) -> dict[str, list[MeteringLabelRule]]:
    """Each label's rules, the oldest first."""
    found: dict[str, list[MeteringLabelRule]] = defaultdict(list)
    for rule in common.find_all(source, MeteringLabelRule, metering_label_id=set(label_ids)):
        found[rule.metering_label_id].append(rule)
    return found


def hosts_counting(source: Source, labels: Iterable[MeteringLabel]) -> set[str]:
    """The hosts of the routers at which these labels count, those that stand by too."""
    listed = list(labels)
    place = tables.router_place
    queries = [
        select(_ROUTER.c.host).distinct().where(_ROUTER.c.host != ""),
        select(place.c.host).distinct().join(_ROUTER, _ROUTER.c.id == place.c.router_id),
    ]
    if not any(label.shared for label in listed):
        projects = {label.project_id for label in listed}
        queries = [query.where(sql.any_of(_ROUTER.c.project_id, projects)) for query in queries]
    return {host for query in queries for host in sql.column(source, query)} if listed else set()


def take_report(tx: Tx, host: str, batch: str) -> bool:
    """Whether the host's report is news; it is none from now on."""
    tx.lock(f"network:meters:{host}")
    table = tables.meter_report
    last = sql.find(tx, table, MeterReport, host=host)
    if last is None:
        sql.add(tx, table, MeterReport(host, batch))
    elif last.batch != batch:
        sql.change(tx, table, {"batch": batch}, host=[host])
    return last is None or last.batch != batch
