# SPDX-License-Identifier: Apache-2.0
"""`/v1/secrets/{id}/consumers` and `/v1/containers/{id}/consumers`"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.key_manager.api import containers as container_api
from cumulet.services.key_manager.api import targets, views
from cumulet.services.key_manager.api.common import listing, page, ref, words
from cumulet.services.key_manager.api.dialect import phrase
from cumulet.services.key_manager.logic import consumers, secrets
from cumulet.services.key_manager.logic.consumers import Kind
from cumulet.services.key_manager.store.consumers import T

_WORD = {"type": "string", "maxLength": 255, "minLength": 1}
_OF_SECRET = Schema(
    {
        "type": "object",
        "properties": {"service": _WORD, "resource_type": _WORD, "resource_id": _WORD},
        "required": ["service", "resource_type", "resource_id"],
    },
    phrase=phrase("Secret Consumer"),
)
_OF_CONTAINER = Schema(
    {
        "type": "object",
        "properties": {"URL": _WORD, "name": {"type": "string", "maxLength": 36, "minLength": 1}},
        "required": ["name", "URL"],
    },
    phrase=phrase("Consumer"),
)


def find_of_secret(request: Request) -> Reply:
    return _page(request, consumers.OF_SECRET, request.params["secret_id"], views.secret_consumer)


def get_of_secret(request: Request) -> Reply:
    params = request.params
    found = consumers.get(request.cloud, consumers.OF_SECRET, params["secret_id"], params["consumer_id"])
    return Reply(200, views.secret_consumer(found))


def add_to_secret(request: Request) -> Reply:
    secret_id = request.params["secret_id"]
    _add(request, consumers.OF_SECRET, secret_id, words(request))
    return Reply(200, _secret(request), _location(request, secret_id))


def remove_from_secret(request: Request) -> Reply:
    _remove(request, consumers.OF_SECRET, request.params["secret_id"], words(request))
    return Reply(200, _secret(request))


def find_of_container(request: Request) -> Reply:
    return _page(request, consumers.OF_CONTAINER, request.params["container_id"], views.container_consumer)


def get_of_container(request: Request) -> Reply:
    params = request.params
    found = consumers.get(request.cloud, consumers.OF_CONTAINER, params["container_id"], params["consumer_id"])
    return Reply(200, views.container_consumer(found))


def add_to_container(request: Request) -> Reply:
    container_id = request.params["container_id"]
    _add(request, consumers.OF_CONTAINER, container_id, _named(request))
    return Reply(200, container_api.show_one(request), _location(request, container_id))


def remove_from_container(request: Request) -> Reply:
    _remove(request, consumers.OF_CONTAINER, request.params["container_id"], _named(request))
    return Reply(200, container_api.show_one(request))


def _page(request: Request, kind: Kind[T], owner_id: str, view: Callable[[T], dict[str, Any]]) -> Reply:
    wanted = page(request)
    found, total = consumers.find_all(request.cloud, kind, owner_id, wanted)
    return Reply(200, listing(request, "consumers", [view(one) for one in found], total, wanted))


def _add(request: Request, kind: Kind[T], owner_id: str, said: Mapping[str, Any]) -> None:
    cloud, ctx = request.cloud, request.ctx
    cloud.db.write(lambda tx: consumers.add(cloud, tx, ctx, kind, owner_id, said))


def _remove(request: Request, kind: Kind[T], owner_id: str, said: Mapping[str, Any]) -> None:
    ctx = request.ctx
    request.cloud.db.write(lambda tx: consumers.remove(tx, ctx, kind, owner_id, said))


def _location(request: Request, owner_id: str) -> dict[str, str]:
    return {"Location": f"{ref(request, 'consumers', owner_id)}/consumers"}


def _named(request: Request) -> dict[str, str]:
    said = words(request)
    return {"name": said["name"], "url": said["URL"]}


def _secret(request: Request) -> dict[str, Any]:
    """The secret with its consumers, whatever the version."""
    found = secrets.get(request.cloud.db, request.params["secret_id"])
    held = consumers.of(request.cloud.db, consumers.OF_SECRET, [found])
    return views.secret(request, found, held.get(found.id, ()))


def _of_secret(request: Request) -> targets.Target:
    found = targets.secret(request)
    consumers.check_id(request.params["consumer_id"])
    return found


def _of_container(request: Request) -> targets.Target:
    found = targets.container(request)
    consumers.check_id(request.params["consumer_id"])
    return found


_S = "/secrets/{secret_id}/consumers"
_C = "/containers/{container_id}/consumers"

ROUTES = (
    Route("GET", _S, find_of_secret, "secret_consumers:get", target=targets.secret),
    Route("POST", _S, add_to_secret, "secret_consumers:post", body=_OF_SECRET, target=targets.secret),
    Route("DELETE", _S, remove_from_secret, "secret_consumers:delete", body=_OF_SECRET, target=targets.secret),
    Route("GET", f"{_S}/{{consumer_id}}", get_of_secret, "consumer:get", target=_of_secret),
    Route("GET", _C, find_of_container, "container_consumers:get", target=targets.container),
    Route("POST", _C, add_to_container, "container_consumers:post", body=_OF_CONTAINER, target=targets.container),
    Route(
        "DELETE", _C, remove_from_container, "container_consumers:delete", body=_OF_CONTAINER, target=targets.container
    ),
    Route("GET", f"{_C}/{{consumer_id}}", get_of_container, "consumer:get", target=_of_container),
)
