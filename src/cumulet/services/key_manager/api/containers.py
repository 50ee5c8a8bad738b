# SPDX-License-Identifier: Apache-2.0
"""`/v1/containers` and `/v1/containers/{id}/secrets`"""

from __future__ import annotations

from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.key_manager.api import targets, views
from cumulet.services.key_manager.api.common import listing, page, ref, words
from cumulet.services.key_manager.api.dialect import phrase
from cumulet.services.key_manager.logic import consumers, containers
from cumulet.services.key_manager.types import Container

_REFERENCE = {
    "type": "object",
    "required": ["secret_ref"],
    "properties": {
        "name": {"type": ["string", "null"], "maxLength": 255},
        "secret_ref": {"type": "string", "minLength": 1},
    },
}
_CREATE = Schema(
    {
        "type": "object",
        "properties": {
            "name": {"type": ["string", "null"], "maxLength": 255},
            "type": {"type": "string", "enum": ["generic", "rsa", "certificate"]},
            "secret_refs": {"type": "array", "items": _REFERENCE},
        },
        "required": ["type"],
    },
    phrase=phrase(containers.SCHEMA),
)
_SECRET = Schema(
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 255},
            "secret_ref": {"type": "string", "minLength": 1},
        },
        "required": ["secret_ref"],
    },
    phrase=phrase("ContainerSecret"),
)


def find_all(request: Request) -> Reply:
    wanted, query = page(request), request.query
    found, total = containers.find_all(request.cloud, request.ctx, query.get("name"), query.get("type"), wanted)
    return Reply(200, listing(request, "containers", show(request, found), total, wanted))


def create(request: Request) -> Reply:
    made = containers.create(request.cloud, request.ctx, words(request), request.root_url)
    return _told(request, made.id, 201)


def get(request: Request) -> Reply:
    return Reply(200, show_one(request))


def delete(request: Request) -> Reply:
    containers.delete(request.cloud, request.params["container_id"])
    return Reply(204)


def add_secret(request: Request) -> Reply:
    container_id, said = request.params["container_id"], words(request)
    containers.add_secret(request.cloud, request.ctx, container_id, said.get("name"), said["secret_ref"])
    return _told(request, container_id, 201)


def remove_secret(request: Request) -> Reply:
    container_id, said = request.params["container_id"], words(request)
    containers.remove_secret(request.cloud, request.ctx, container_id, said.get("name"), said["secret_ref"])
    return Reply(204)


def show_one(request: Request) -> dict[str, Any]:
    """The container that the path names."""
    return show(request, [containers.get(request.cloud.db, request.params["container_id"])])[0]


def show(request: Request, found: list[Container]) -> list[dict[str, Any]]:
    held = containers.references(request.cloud.db, found)
    needed = consumers.of(request.cloud.db, consumers.OF_CONTAINER, found)
    return [views.container(request, one, held.get(one.id, ()), needed.get(one.id, ())) for one in found]


def _told(request: Request, container_id: str, status: int) -> Reply:
    url = ref(request, "containers", container_id)
    return Reply(status, {"container_ref": url}, {"Location": url})


_ONE = "/containers/{container_id}"

ROUTES = (
    Route("GET", "/containers", find_all, "containers:get", target=targets.anything),
    Route("POST", "/containers", create, "containers:post", body=_CREATE, target=targets.anything),
    Route("GET", _ONE, get, "container:get", target=targets.container),
    Route("DELETE", _ONE, delete, "container:delete", target=targets.container),
    Route("POST", f"{_ONE}/secrets", add_secret, "container_secret:post", body=_SECRET, target=targets.container),
    Route(
        "DELETE", f"{_ONE}/secrets", remove_secret, "container_secret:delete", body=_SECRET, target=targets.container
    ),
)
