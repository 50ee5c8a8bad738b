# SPDX-License-Identifier: Apache-2.0
"""What routers of a host count."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic.hosting.base import Concern, Feature, Snapshot
from cumulet.services.network.store import common
from cumulet.services.network.store import metering as store
from cumulet.services.network.types import HostState
from cumulet.services.network.types.metering import EGRESS, MeteringLabel, MeteringLabelRule
from cumulet.services.network.types.meters import MeterRuleState, MeterState

_LABELS, _RULES = "metering_labels", "metering_label_rules"


def _of_labels(source: Source, keys: set[str]) -> set[str]:
    return store.hosts_counting(source, common.by_id(source, MeteringLabel, keys).values())


def _of_rules(source: Source, keys: set[str]) -> set[str]:
    rules = common.by_id(source, MeteringLabelRule, keys).values()
    return _of_labels(source, {rule.metering_label_id for rule in rules})


class Metering(Feature):
    """Routers' `meters`: the labels of their project, and the shared ones."""

    concerns: Mapping[type, Concern] = {MeteringLabel: _of_labels, MeteringLabelRule: _of_rules}

    def take(self, source: Source, rows: Snapshot) -> None:
        labels = store.labels_of(source, {router.project_id for router in rows.routers}) if rows.routers else []
        if labels:
            rows.more[_LABELS] = labels
            rows.more[_RULES] = store.rules_of(source, [label.id for label in labels])

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        labels: list[MeteringLabel] = rows.more.get(_LABELS, [])
        if not labels:
            return state
        rules = {key: [_rule(rule) for rule in held] for key, held in rows.more[_RULES].items()}
        owners = {router.id: router.project_id for router in rows.routers}
        routers = [
            msgspec.structs.replace(
                router,
                meters=[
                    MeterState(id=label.id, project_id=owners[router.id], rules=rules.get(label.id, []))
                    for label in labels
                    if label.shared or label.project_id == owners[router.id]
                ],
            )
            for router in state.routers
        ]
        return msgspec.structs.replace(state, routers=routers)


def _rule(rule: MeteringLabelRule) -> MeterRuleState:
    """As Neutron, `remote_ip_prefix` is held against the address behind the router: a sender's or a receiver's."""
    remote = rule.remote_ip_prefix or ""
    source, destination = (remote, "") if rule.direction == EGRESS else ("", remote)
    return MeterRuleState(
        direction=rule.direction,
        excluded=rule.excluded,
        source=rule.source_ip_prefix or source,
        destination=rule.destination_ip_prefix or destination,
    )
