# SPDX-License-Identifier: Apache-2.0
"""Bindings of ports over HTTP: `/ports/{port_id}/bindings/{host}`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network import events
from cumulet.services.network.api import attributes as parsing
from cumulet.services.network.api import common, listing
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.listing import Item
from cumulet.services.network.api.ports import PORTS, VNIC_TYPES
from cumulet.services.network.api.resource import tell
from cumulet.services.network.logic import access, concern
from cumulet.services.network.logic import bindings as logic
from cumulet.services.network.types import Port
from cumulet.services.network.types.bindings import UNBOUND, PortBinding

_COLLECTION = "/ports/{port_id}/bindings"
_ONE = _COLLECTION + "/{host}"

ATTRIBUTES = {
    "host": Attribute(post=True, put=True, check=check.text(255), sorts=True),
    "vif_type": Attribute(sorts=True),
    "vif_details": Attribute(filters=False),
    "vnic_type": Attribute(post=True, put=True, default="normal", check=check.one_of(VNIC_TYPES), sorts=True),
    "profile": Attribute(post=True, put=True, default=ABSENT, check=check.or_none(check.plain_dict), filters=False),
    "status": Attribute(sorts=True),
    "project_id": common.PROJECT,
}


def find_all(request: Request) -> Reply:
    wanted = listing.filters_of(request, ATTRIBUTES, {})
    port = _visible(request)
    items = [_item(port, *found) for found in logic.find_all(request.cloud.db, port)]
    items = listing.matching(items if _may(request, "get_port_binding") else [], wanted, {})
    chosen, links = listing.page(request, listing.ordered(request, items, ATTRIBUTES), "bindings")
    fields = listing.chosen_fields(request)
    return Reply(200, {"bindings": [_shown(item, fields) for item in chosen], **links})


def show(request: Request) -> Reply:
    port = _visible(request)
    item = _item(port, *logic.get(request.cloud.db, port, request.params["host"]))
    _must_see(request)
    return Reply(200, {"binding": _shown(item, listing.chosen_fields(request))})


def create(request: Request) -> Reply:
    _visible(request)
    _require(request, "create_port_binding")
    bodies = parsing.read_bodies(request.ctx, request.body, "binding", "bindings", ATTRIBUTES)

    def write(tx: Tx, port: Port) -> list[Item]:
        made = []
        for values in bodies:
            made.append(_item(port, *logic.create(request.cloud, tx, _port(request, tx), values)))
            _publish(request, tx, events.created, made[-1])
        return made

    shown = [_shown(item) for item in _write(request, write)]
    return Reply(201, {"bindings": shown} if "bindings" in request.body else {"binding": shown[0]})


def update(request: Request) -> Reply:
    values = parsing.read_change(request.ctx, request.body, "binding", ATTRIBUTES)
    _find(request)
    if not _may(request, "update_port_binding"):
        _must_see(request)
        _require(request, "update_port_binding")

    def write(tx: Tx, port: Port) -> Item:
        item = _item(port, *logic.update(request.cloud, tx, port, request.params["host"], values))
        _publish(request, tx, events.updated, item)
        return item

    return Reply(200, {"binding": _shown(_write(request, write))})


def delete(request: Request) -> Reply:
    if request.raw:
        raise Invalid("Request body is not supported in DELETE.")
    before = _find(request)
    if not _may(request, "delete_port_binding"):
        _must_see(request)
        _require(request, "delete_port_binding")

    def write(tx: Tx, port: Port) -> None:
        logic.delete(request.cloud, tx, port, request.params["host"])
        _publish(request, tx, events.deleted, before)

    _write(request, write)
    return Reply(204)


def activate(request: Request) -> Reply:
    """The answer has no name around the binding: an action's has none in Neutron."""
    _visible(request)
    if not _may(request, "activate"):
        _must_see(request)
        _require(request, "activate")

    def write(tx: Tx, port: Port) -> Item:
        made = logic.activate(request.cloud, tx, port, request.params["host"])
        item = _item(port, made, "ACTIVE")
        _publish(request, tx, events.updated, item)
        return item

    return Reply(200, _shown(_write(request, write)))


def _port(request: Request, source: Source) -> Port:
    return access.get(source, request.ctx, Port, request.params["port_id"])


def _visible(request: Request) -> Port:
    """The port, where the caller may see it by policy too."""
    PORTS.load(request, request.params["port_id"])
    return _port(request, request.cloud.db)


def _find(request: Request) -> Item:
    port = _visible(request)
    return _item(port, *logic.get(request.cloud.db, port, request.params["host"]))


def _item(port: Port, found: PortBinding, status: str) -> Item:
    """The binding as it is shown; which driver made it is told of the port alone."""
    profile = found.profile
    if port.trusted is not None and found.vif_type != UNBOUND:
        profile = {**profile, "trusted": port.trusted}
    return {
        "id": found.host,
        "host": found.host,
        "vif_type": found.vif_type,
        "vif_details": {name: value for name, value in found.vif_details.items() if name != "bound_drivers"},
        "vnic_type": found.vnic_type,
        "profile": profile,
        "status": status,
    }


def _shown(item: Item, fields: set[str] | None = None) -> Item:
    return {name: value for name, value in item.items() if name != "id" and (fields is None or name in fields)}


def _may(request: Request, rule: str) -> bool:
    """Bindings belong to no project: rules know nothing of them."""
    return request.allows(rule, {})


def _must_see(request: Request) -> None:
    if not _may(request, "get_port_binding"):
        raise NotFound("The resource could not be found.")


def _require(request: Request, rule: str) -> None:
    if not _may(request, rule):
        raise Forbidden(f"rule:{rule} is disallowed by policy", code="PolicyNotAuthorized")


def _write(request: Request, change: Callable[[Tx, Port], Any]) -> Any:
    """Change the port of the path in one commit, and let the hosts that it concerns catch up."""

    def write(tx: Tx) -> Any:
        key = request.params["port_id"]
        tx.lock(f"network:bindings:{key}")
        concerned = concern.of(tx, Port, [key])
        answer = change(tx, _port(request, tx))
        tell(request.cloud, tx, concerned | concern.of(tx, Port, [key]))
        return answer

    return request.cloud.db.write(write)


def _publish(request: Request, tx: Tx, event: Callable[[str, Item], tuple[str, Item]], item: Item) -> None:
    topic, payload = event("binding", {**item, "port_id": request.params["port_id"]})
    request.cloud.outbox.publish(tx, topic, payload, request.request_id)


FAMILY = Family(
    routes=(
        Route("GET", _COLLECTION, find_all, ANYONE),
        Route("POST", _COLLECTION, create, ANYONE),
        Route("GET", _ONE, show, ANYONE),
        Route("PUT", _ONE, update, ANYONE),
        Route("DELETE", _ONE, delete, ANYONE),
        Route("PUT", _ONE + "/activate", activate, ANYONE),
    ),
    extensions={"binding-extended": ("Port Bindings Extended", "2017-07-17T10:00:00-00:00")},
)
