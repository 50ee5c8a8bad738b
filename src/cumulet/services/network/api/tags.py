# SPDX-License-Identifier: Apache-2.0
"""Tags of the resources that have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Forbidden
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network import events
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.resource import Resource, check_revision
from cumulet.services.network.logic.faults import bad, fault, invalid
from cumulet.services.network.store import common as store

LONGEST = 255
MOST = 50


def routes(resource: Resource[Any]) -> tuple[Route, ...]:
    """The routes of the resource's tags; none where it has no tags.

    They are at its path, and at that without a prefix (`/policies/{id}/tags`), which is Neutron's.
    """
    paths = dict.fromkeys((resource.path, resource.path.removeprefix(resource.prefix)))
    return tuple(route for path in paths for route in Tags(resource).routes(path)) if "tags" in resource.known else ()


class Tags:
    """The tags of one kind of resource."""

    def __init__(self, resource: Resource[Any]) -> None:
        self._resource = resource

    def routes(self, path: str) -> tuple[Route, ...]:
        base = f"{path}/{{id}}/tags"
        return (
            Route("GET", base, self.find_all, ANYONE),
            Route("PUT", base, self.replace, ANYONE),
            Route("POST", base, self.add_many, ANYONE),
            Route("DELETE", base, self.clear, ANYONE),
            Route("GET", base + "/{tag}", self.has, ANYONE),
            Route("PUT", base + "/{tag}", self.add, ANYONE),
            Route("DELETE", base + "/{tag}", self.remove, ANYONE),
        )

    def find_all(self, request: Request) -> Reply:
        return Reply(200, {"tags": self._load(request, "get")["tags"]})

    def has(self, request: Request) -> Reply:
        self._must_have(self._load(request, "get"), request.params["tag"])
        return Reply(204)

    def replace(self, request: Request) -> Reply:
        wanted = _from_body(request)
        self._write(request, "update", "update", wanted, lambda _: wanted)
        return Reply(200, {"tags": wanted})

    def add_many(self, request: Request) -> Reply:
        wanted = _from_body(request)
        self._write(request, "create", "create", wanted, lambda old: [*old, *(tag for tag in wanted if tag not in old)])
        return Reply(200, {"tags": wanted})

    def add(self, request: Request) -> Reply:
        tag = request.params["tag"]
        _check(tag)
        self._write(request, "update", "create", [tag], lambda old: old if tag in old else [*old, tag])
        return Reply(201)

    def remove(self, request: Request) -> Reply:
        tag = request.params["tag"]
        self._must_have(self._load(request, "delete"), tag)
        self._write(request, "delete", "delete", [tag], lambda old: [other for other in old if other != tag])
        return Reply(204)

    def clear(self, request: Request) -> Reply:
        self._write(request, "delete", "delete_all", None, lambda _: [])
        return Reply(204)

    def _load(self, request: Request, verb: str) -> dict[str, Any]:
        item = self._resource.load(request)
        rule = f"{verb}_{self._resource.name}:tags"
        if not request.allows(rule, self._resource.target(item)):
            raise Forbidden(f"rule:{rule} is disallowed by policy", code="PolicyNotAuthorized")
        return item

    def _must_have(self, item: dict[str, Any], tag: str) -> None:
        if tag not in item["tags"]:
            raise fault("TagNotFound", tag=tag)

    def _write(
        self, request: Request, rule: str, verb: str, named: list[str] | None, change: Callable[[list[str]], list[str]]
    ) -> None:
        """Change the tags, where the rule allows it, and tell of it as `verb` with the tags that were named."""
        item = self._load(request, rule)
        kind = self._resource.kind

        def write(tx: Tx) -> None:
            check_revision(request, tx, kind, item["id"])
            row = store.find(tx, kind, item["id"])
            if row is None:
                return
            tags = change(row.tags)
            if len(tags) > MOST:
                reason = f"The number of tags exceed the per-resource limit of {MOST}"
                raise bad(self._resource.collection, reason)
            store.change(tx, kind, item["id"], {"tags": tags})
            for moment in ("start", "end"):
                topic, payload = events.tagged(f"{verb}.{moment}", self._resource.collection, item["id"], named)
                request.cloud.outbox.publish(tx, topic, payload, request.request_id)

        request.cloud.db.write(write)


def _from_body(request: Request) -> list[str]:
    body = request.body
    if not isinstance(body, dict) or "tags" not in body:
        raise invalid("Invalid tags body")
    tags = body["tags"]
    if not isinstance(tags, list):
        raise invalid(f"'{tags}' is not a list")
    for tag in tags:
        _check(tag)
    again = next((tag for number, tag in enumerate(tags) if tag in tags[:number]), None)
    if again is not None:
        raise invalid(f"Duplicate items in the list: '{again}'")
    return tags


def _check(tag: Any) -> None:
    reason = check.text(LONGEST)(tag)
    if reason is not None:
        raise invalid(reason)
