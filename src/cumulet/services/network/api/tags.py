# SPDX-License-Identifier: Apache-2.0
"""Tags of the resources that have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Forbidden, Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network.api import validators as check
from cumulet.services.network.api.resource import Resource, check_revision
from cumulet.services.network.logic.faults import fault, invalid
from cumulet.services.network.store import common as store

LONGEST = 255
MOST = 50


def routes(resource: Resource[Any]) -> tuple[Route, ...]:
    """The routes of the resource's tags; none where it has no tags."""
    return Tags(resource).routes() if "tags" in resource.known else ()


class Tags:
    """The tags of one kind of resource."""

    def __init__(self, resource: Resource[Any]) -> None:
        self._resource = resource

    def routes(self) -> tuple[Route, ...]:
        base = f"{self._resource.path}/{{id}}/tags"
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
        self._write(request, "update", lambda _: wanted)
        return Reply(200, {"tags": wanted})

    def add_many(self, request: Request) -> Reply:
        wanted = _from_body(request)
        self._write(request, "create", lambda old: [*old, *(tag for tag in wanted if tag not in old)])
        return Reply(200, {"tags": wanted})

    def add(self, request: Request) -> Reply:
        tag = request.params["tag"]
        _check(tag)
        self._write(request, "update", lambda old: old if tag in old else [*old, tag])
        return Reply(201)

    def remove(self, request: Request) -> Reply:
        tag = request.params["tag"]
        self._must_have(self._load(request, "delete"), tag)
        self._write(request, "delete", lambda old: [other for other in old if other != tag])
        return Reply(204)

    def clear(self, request: Request) -> Reply:
        self._write(request, "delete", lambda _: [])
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

    def _write(self, request: Request, verb: str, change: Callable[[list[str]], list[str]]) -> None:
        item = self._load(request, verb)
        kind = self._resource.kind

        def write(tx: Tx) -> None:
            check_revision(request, tx, kind, item["id"])
            row = store.find(tx, kind, item["id"])
            if row is None:
                return
            tags = change(row.tags)
            if len(tags) > MOST:
                raise invalid(f"The number of tags exceed the per-resource limit of {MOST}")
            store.change(tx, kind, item["id"], {"tags": tags})

        request.cloud.db.write(write)


def _from_body(request: Request) -> list[str]:
    tags = request.body.get("tags") if isinstance(request.body, dict) else None
    if not isinstance(tags, list):
        raise Invalid("Invalid tags body")
    for tag in tags:
        _check(tag)
    return list(dict.fromkeys(tags))


def _check(tag: Any) -> None:
    reason = check.text(LONGEST)(tag)
    if reason is not None or not tag.strip():
        raise invalid(reason or f"'{tag}' Blank strings are not permitted")
