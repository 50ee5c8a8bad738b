# SPDX-License-Identifier: Apache-2.0
"""QoS over HTTP: policies, the rules under them (by the policy's path, and by an alias without it), types of rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.network.api import common, listing, parts
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import REQUIRED, Attribute
from cumulet.services.network.api.children import Child
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.resource import Resource
from cumulet.services.network.logic import qos as logic
from cumulet.services.network.logic import qos_use, sharing
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common as store
from cumulet.services.network.store import qos as lookups
from cumulet.services.network.types import QosPolicy, QosRule, qos

PREFIX = "/qos"
_flag = Attribute(post=True, put=True, default=False, convert=check.boolean)

ATTRIBUTES = {
    "id": common.ID,
    "name": common.NAME,
    "project_id": common.PROJECT,
    "shared": _flag,
    "is_default": _flag,
    "rules": Attribute(filters=False),
    **common.STANDARD,
    **common.TAGS,
}


def render(source: Source, rows: list[QosPolicy]) -> list[Item]:
    rules = lookups.rules_of(source, [row.id for row in rows])
    return [
        {
            "id": row.id,
            "name": row.name,
            "project_id": row.project_id,
            **sharing.words(row),
            "is_default": row.is_default,
            "rules": [{**_rule(rule), "qos_policy_id": row.id, "type": rule.type} for rule in rules[row.id]],
            "tags": row.tags,
            **common.standard(row),
        }
        for row in rows
    ]


def _create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[QosPolicy]:
    return [logic.create(cloud, tx, ctx, item) for item in items]


POLICIES = Resource(
    name="policy",
    collection="policies",
    prefix=PREFIX,
    forgets_sharing=True,
    kind=QosPolicy,
    bulk=False,
    parts=parts.of(QosPolicy),
    attributes=ATTRIBUTES,
    render=render,
    create=_create,
    update=logic.update,
    delete=logic.delete,
    filters=common.TAG_FILTERS,
)


def _rule(rule: QosRule) -> Item:
    return {"id": rule.id, **{name: getattr(rule, name) for name in qos.PARAMETERS[rule.type]}}


def _render_rules(source: Source, rows: list[QosRule]) -> list[Item]:
    return [_rule(row) for row in rows]


def _amount(default: Any = REQUIRED) -> Attribute:
    """A rate in kilobits or kilopackets per second, or a burst."""
    return Attribute(
        post=True, put=True, default=default, convert=check.integer, check=check.at_most(0, 2**31 - 1), sorts=True
    )


def _direction(*values: str, asked: bool = True) -> Attribute:
    """`asked`: lists can be filtered by it, and sorted."""
    return Attribute(post=True, put=True, default=qos.EGRESS, check=check.one_of(values), filters=asked, sorts=asked)


_MARK = Attribute(post=True, put=True, convert=check.integer, check=check.one_of(qos.DSCP_MARKS), sorts=True)
_OF_RULES = {
    qos.BANDWIDTH_LIMIT: {
        "max_kbps": _amount(),
        "max_burst_kbps": _amount(0),
        "direction": _direction(*qos.DIRECTIONS, asked=False),
    },
    qos.DSCP_MARKING: {"dscp_mark": _MARK},
    qos.MINIMUM_BANDWIDTH: {"min_kbps": _amount(), "direction": _direction(*qos.DIRECTIONS)},
    qos.MINIMUM_PACKET_RATE: {"min_kpps": _amount(), "direction": _direction(qos.ANY, *qos.DIRECTIONS)},
    qos.PACKET_RATE_LIMIT: {
        "max_kpps": _amount(),
        "max_burst_kpps": _amount(0),
        "direction": _direction(*qos.DIRECTIONS),
    },
}


def _rules(type_: str) -> Child[QosRule]:
    """The rules of one type under a policy."""

    def create(cloud: Cloud, tx: Tx, ctx: Context, items: list[dict[str, Any]]) -> list[QosRule]:
        return [logic.create_rule(tx, type_, item) for item in items]

    return Child(
        name=f"{type_}_rule",
        collection=f"{type_}_rules",
        kind=QosRule,
        attributes={"id": common.ID, **_OF_RULES[type_]},
        render=_render_rules,
        create=create,
        update=logic.update_rule,
        delete=logic.delete_rule,
        parent=POLICIES,
        column="qos_policy_id",
        only={"type": type_},
    )


@dataclass(frozen=True, kw_only=True)
class _Alias(Child[QosRule]):
    """The rules of one type by their own ids, whatever policy they are under."""

    @property
    def path(self) -> str:
        return f"{PREFIX}/{self.collection.replace('_', '-')}"

    @property
    def rule(self) -> str:
        return self.name

    def routes(self) -> tuple[Route, ...]:
        return tuple(route for route in super().routes() if "{id}" in route.path)

    def row(self, request: Request, key: str) -> QosRule:
        found = store.find(request.cloud.db, QosRule, key)
        if found is None or found.type != self.only["type"]:
            raise fault("QosRuleNotFound", id=key, parent="")
        self.parent.load(request, found.qos_policy_id)
        return found


def _alias(type_: str) -> _Alias:
    attributes = {"id": common.ID, **_OF_RULES[type_]}
    return _Alias(
        name=f"alias_{type_}_rule",
        collection=f"alias_{type_}_rules",
        kind=QosRule,
        attributes=attributes,
        render=_render_rules,
        update=logic.update_rule,
        delete=logic.delete_rule,
        parent=POLICIES,
        column="qos_policy_id",
        only={"type": type_},
    )


_TYPE_FILTERS = {
    name: Attribute(convert=lambda value: None if value is None else check.boolean(value), shown=False)
    for name in ("all_supported", "all_rules")
}
_TYPES = {"type": Attribute(filters=False), "drivers": Attribute(filters=False), **_TYPE_FILTERS}


def find_types(request: Request) -> Reply:
    """The types of rules that all drivers support; `all_supported`: that any does; `all_rules`: all that there are."""
    wanted = listing.filters_of(request, _TYPES, {})
    flags = {name: any(wanted.get(name, ())) for name in _TYPE_FILTERS}
    items = [{"type": type_} for type_ in qos_use.rule_types(request.cloud.db, **flags)]
    return Reply(200, {"rule_types": _chosen(request, listing.ordered(request, items, _TYPES))})


def show_type(request: Request) -> Reply:
    """One type with the drivers that support it, for the administrator."""
    type_ = request.params["type"]
    if not request.ctx.is_admin:
        raise fault("NotAuthorized")
    if type_ not in qos.PARAMETERS:
        raise NotFound("The resource could not be found.")
    item = {"type": type_, "drivers": qos_use.driver_details(request.cloud.db, type_)}
    return Reply(200, {"rule_type": _chosen(request, [item])[0]})


def _chosen(request: Request, items: list[Item]) -> list[Item]:
    fields = listing.chosen_fields(request)
    return [{name: value for name, value in item.items() if fields is None or name in fields} for item in items]


FAMILY = Family(
    resources=(
        POLICIES,
        *(_rules(type_) for type_ in qos.PARAMETERS),
        *(_alias(type_) for type_ in qos.PARAMETERS if type_ != qos.PACKET_RATE_LIMIT),
    ),
    routes=(
        Route("GET", "/qos/rule-types", find_types, "get_rule_type"),
        Route("GET", "/qos/rule-types/{type}", show_type, "get_rule_type"),
    ),
    extensions={
        "port-resource-request": ("Port Resource Request", "2018-05-08T10:00:00-00:00"),
        "port-resource-request-groups": ("Port Resource Request Groups", "2021-08-02T10:00:00-00:00"),
        "qos": ("Quality of Service", "2015-06-08T10:00:00-00:00"),
        "qos-bw-limit-direction": ("Direction for QoS bandwidth limit rule", "2017-04-10T10:00:00-00:00"),
        "qos-bw-minimum-ingress": ("Ingress direction for QoS minimum bandwidth rule", "2018-07-09T10:00:00-00:00"),
        "qos-default": ("QoS default policy", "2017-041-06T10:00:00-00:00"),
        "qos-fip": ("Floating IP QoS", "2017-07-20T00:00:00-00:00"),
        "qos-gateway-ip": ("Router gateway IP QoS", "2018-02-24T00:00:00-00:00"),
        "qos-port-network-policy": ("QoS port network policy ID", "2019-11-01T10:00:00-00:00"),
        "qos-pps": ("QoS Rule Type Packet per Second Extension", "2021-05-12T10:00:00-00:00"),
        "qos-pps-minimum": ("QoS minimum packet rate rule", "2021-07-14T10:00:00-00:00"),
        "qos-pps-minimum-rule-alias": ("QoS minimum packet rate rule alias", "2021-10-22T10:00:00-00:00"),
        "qos-rule-type-details": ("Details of QoS rule types", "2017-06-22T10:00:00-00:00"),
        "qos-rule-type-filter": ("Allow to filter the list of QoS rule types", "2022-02-02T10:00:00-00:00"),
        "qos-rules-alias": ("Quality of Service rules alias API", "2018-10-07T10:00:00-00:00"),
    },
)
