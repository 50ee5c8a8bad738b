# SPDX-License-Identifier: Apache-2.0
"""What can be done with metering labels and their rules, and how hosts' reports become notifications."""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network import events
from cumulet.services.network.logic import access
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common
from cumulet.services.network.store import metering as store
from cumulet.services.network.types.metering import PREFIXES, MeteringLabel, MeteringLabelRule
from cumulet.services.network.types.meters import Metered


def create_label(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> MeteringLabel:
    now = clock.utcnow()
    label = MeteringLabel(
        id=ids.new_uuid(),
        project_id=values["project_id"],
        name=values["name"],
        shared=values["shared"],
        description=values["description"],
        revision_number=0,
        created_at=now,
        updated_at=now,
    )
    common.add(tx, label)
    return label


def delete_label(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a label with its rules."""
    common.remove(tx, MeteringLabel, [access.must(tx, MeteringLabel, key).id])


def create_rule(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> MeteringLabelRule:
    """Let a label count more, or less; what is told of remote addresses may not overlap what it has."""
    prefixes = {name: _prefix(name, values.get(name)) for name in PREFIXES}
    _check_prefixes(prefixes)
    label = access.get(tx, ctx, MeteringLabel, values["metering_label_id"])
    tx.lock(f"network:metering_label:{label.id}")
    _check_overlap(tx, values, prefixes["remote_ip_prefix"])
    now = clock.utcnow()
    rule = MeteringLabelRule(
        id=ids.new_uuid(),
        metering_label_id=label.id,
        direction=values["direction"],
        excluded=values["excluded"],
        **prefixes,
        revision_number=0,
        created_at=now,
        updated_at=now,
    )
    common.add(tx, rule)
    return rule


def delete_rule(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    common.remove(tx, MeteringLabelRule, [access.must(tx, MeteringLabelRule, key).id])


def reported(cloud: Cloud, host: str, batch: str, said: Any) -> None:
    """Publish what a host has counted; `said` is a list of Metered as plain data. A batch is taken once."""
    found = msgspec.convert(said, list[Metered])

    def write(tx: Tx) -> None:
        if store.take_report(tx, host, batch):
            for each in found:
                cloud.outbox.publish(tx, *events.metered(host, each))

    cloud.db.write(write)


def _prefix(name: str, given: Any) -> str | None:
    """The prefix as it is kept: with its length, IPv6 in its shortest spelling."""
    if not given:
        return None
    try:
        if not isinstance(given, str) or "%" in given:
            raise ValueError(f"'{given}' does not appear to be an IPv4 or IPv6 interface")
        return str(ipaddress.ip_interface(given))
    except ValueError as error:
        raise fault("Invalid", reason=f"{name}: {given} is invalid [{error}].") from None


def _check_prefixes(prefixes: dict[str, str | None]) -> None:
    remote, *ends = (prefixes[name] for name in PREFIXES)
    if remote is not None and any(ends):
        raise fault(
            "Invalid",
            reason="Cannot use 'remote-ip-prefix' in conjunction with 'source-ip-prefix' or 'destination-ip-prefix'.",
        )
    if remote is None and not any(ends):
        raise fault(
            "Invalid",
            reason="You must define at least one of the following parameters 'remote_ip_prefix', or "
            "'source_ip_prefix' or 'destination_ip_prefix'.",
        )


def _check_overlap(tx: Tx, values: dict[str, Any], remote: str | None) -> None:
    if remote is None:
        return
    wanted = ipaddress.ip_interface(remote).network
    same = {name: [values[name]] for name in ("metering_label_id", "direction", "excluded")}
    for other in common.find_all(tx, MeteringLabelRule, **same):
        if other.remote_ip_prefix is None:
            continue
        there = ipaddress.ip_interface(other.remote_ip_prefix).network
        if there.version == wanted.version and there.overlaps(wanted):
            raise fault("MeteringLabelRuleOverlaps", remote_ip_prefix=values["remote_ip_prefix"])
