# SPDX-License-Identifier: Apache-2.0
"""`/volumes/{id}/metadata` and `/snapshots/{id}/metadata`"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, NotFound, Precondition
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.block_storage.api import common, snapshots, volumes
from cumulet.services.block_storage.api.common import Target, route
from cumulet.services.block_storage.logic import snapshots as snapshot_logic
from cumulet.services.block_storage.logic import volumes as volume_logic

ETAGS = (3, 15)

_SINGLE = {"minProperties": 1, "maxProperties": 1}
# Of a snapshot's metadata Cinder takes no slash in a key, and any names beside the outermost one.
_OF_SNAPSHOT = common.mapping("^[a-zA-Z0-9-_:. ]{1,255}$")


@dataclass(frozen=True)
class _Owner:
    """A resource that has metadata."""

    path: str
    key: str
    what: str
    target: Target
    rules: dict[str, str]
    bodies: tuple[Schema, Schema]  # of all of it, of one key
    get: Callable[[Source, Context, str], Any]
    put: Callable[..., dict[str, str]]
    remove: Callable[[Tx, Context, str, str], None]

    def metadata(self, request: Request) -> dict[str, str]:
        found: dict[str, str] = self.get(request.cloud.db, request.ctx, request.params[self.key]).metadata
        return found

    def find_all(self, request: Request) -> Reply:
        body = {"metadata": self.metadata(request)}
        headers = {"ETag": _sum(body)} if request.version >= ETAGS else {}
        return Reply(200, body, headers)

    def get_one(self, request: Request) -> Reply:
        key = request.params["meta_key"]
        return Reply(200, {"meta": {key: self._item(request, key)}})

    def add(self, request: Request) -> Reply:
        return self._put(request, replace=False)

    def replace(self, request: Request) -> Reply:
        self._check_unchanged(request)
        return self._put(request, replace=True)

    def put_one(self, request: Request) -> Reply:
        self._check_unchanged(request)
        item = request.body["meta"]
        if request.params["meta_key"] not in item:
            raise Invalid("Request body and URI mismatch")
        request.cloud.db.write(lambda tx: self.put(tx, request.ctx, request.params[self.key], item, replace=False))
        return Reply(200, {"meta": item})

    def delete(self, request: Request) -> Reply:
        request.cloud.db.write(
            lambda tx: self.remove(tx, request.ctx, request.params[self.key], request.params["meta_key"])
        )
        return Reply(200)

    def routes(self) -> tuple[Route, ...]:
        one = f"{self.path}/{{meta_key}}"
        get, put, remove = self.rules["get"], self.rules["update"], self.rules["delete"]
        every, single = self.bodies
        return (
            route("GET", self.path, self.find_all, get, target=self.target),
            route("POST", self.path, self.add, self.rules["create"], target=self.target, body=every),
            route("PUT", self.path, self.replace, put, target=self.target, body=every),
            route("GET", one, self.get_one, get, target=self.target),
            route("PUT", one, self.put_one, put, target=self.target, body=single),
            route("DELETE", one, self.delete, remove, target=self.target),
        )

    def _put(self, request: Request, *, replace: bool) -> Reply:
        said = request.body["metadata"]
        now = request.cloud.db.write(
            lambda tx: self.put(tx, request.ctx, request.params[self.key], said, replace=replace)
        )
        return Reply(200, {"metadata": now})

    def _item(self, request: Request, key: str) -> str:
        found = self.metadata(request)
        if key not in found:
            raise NotFound(f"{self.what} {request.params[self.key]} has no metadata with key {key}.")
        return found[key]

    def _check_unchanged(self, request: Request) -> None:
        expected = request.headers.get("if-match")
        if expected and request.version >= ETAGS:
            tags = {tag.strip().removeprefix("W/").strip('"') for tag in expected.split(",")}
            if "*" not in tags and _sum({"metadata": self.metadata(request)}) not in tags:
                raise Precondition("The metadata has changed.")


def _sum(body: dict[str, Any]) -> str:
    return hashlib.md5(json.dumps(body).encode(), usedforsecurity=False).hexdigest()


def _rules(name: str, create: str) -> dict[str, str]:
    verbs = {verb: f"volume:{verb}_{name}_metadata" for verb in ("get", "update", "delete")}
    return {**verbs, "create": f"volume:{create}_{name}_metadata"}


_VOLUMES = _Owner(
    "/volumes/{volume_id}/metadata", "volume_id", "Volume", volumes.target, _rules("volume", "create"),
    (common.wrapped("metadata", common.METADATA), common.wrapped("meta", {**common.METADATA, **_SINGLE})),
    volume_logic.get, volume_logic.set_metadata, volume_logic.remove_metadata,
)  # fmt: skip
_SNAPSHOTS = _Owner(
    "/snapshots/{snapshot_id}/metadata", "snapshot_id", "Snapshot", snapshots.target, _rules("snapshot", "update"),
    (common.open_wrapped("metadata", _OF_SNAPSHOT), common.open_wrapped("meta", {**_OF_SNAPSHOT, **_SINGLE})),
    snapshot_logic.get, snapshot_logic.set_metadata, snapshot_logic.remove_metadata,
)  # fmt: skip

ROUTES = (*_VOLUMES.routes(), *_SNAPSHOTS.routes())
