# SPDX-License-Identifier: Apache-2.0
"""`/v1/secrets/{id}/consumers` and `/v1/containers/{id}/consumers`"""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.key_manager.api import containers as container_api
from cumulet.services.key_manager.api import targets, views
from cumulet.services.key_manager.api.common import listing, page, ref, words
from cumulet.services.key_manager.api.dialect import phrase
from cumulet.services.key_manager.logic import consumers, secrets

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
    wanted = page(request)
    found, total = consumers.find_of_secret(request.cloud, request.params["secret_id"], wanted)
    return Reply(200, listing(request, "consumers", [views.secret_consumer(one) for one in found], total, wanted))


def get_of_secret(request: Request) -> Reply:
    found = consumers.get_of_secret(request.cloud, request.params["secret_id"], request.params["consumer_id"])
    return Reply(200, views.secret_consumer(found))


def add_to_secret(request: Request) -> Reply:
    cloud, ctx, secret_id, said = request.cloud, request.ctx, request.params["secret_id"], words(request)
    cloud.db.write(lambda tx: consumers.add_to_secret(cloud, tx, ctx, secret_id, said))
    reply = _secret(request)
    reply.headers["Location"] = f"{ref(request, 'consumers', secret_id)}/consumers"
    return reply


def remove_from_secret(request: Request) -> Reply:
    ctx, secret_id, said = request.ctx, request.params["secret_id"], words(request)
    request.cloud.db.write(lambda tx: consumers.remove_from_secret(tx, ctx, secret_id, said))
    return _secret(request)


def find_of_container(request: Request) -> Reply:
    wanted = page(request)
    found, total = consumers.find_of_container(request.cloud, request.params["container_id"], wanted)
    return Reply(200, listing(request, "consumers", [views.container_consumer(one) for one in found], total, wanted))


def get_of_container(request: Request) -> Reply:
    found = consumers.get_of_container(request.cloud, request.params["container_id"], request.params["consumer_id"])
    return Reply(200, views.container_consumer(found))


def add_to_container(request: Request) -> Reply:
    cloud, ctx, container_id, said = request.cloud, request.ctx, request.params["container_id"], words(request)
    cloud.db.write(lambda tx: consumers.add_to_container(cloud, tx, ctx, container_id, said["name"], said["URL"]))
    location = f"{ref(request, 'consumers', container_id)}/consumers"
    return Reply(200, container_api.show_one(request), {"Location": location})


def remove_from_container(request: Request) -> Reply:
    ctx, container_id, said = request.ctx, request.params["container_id"], words(request)
    request.cloud.db.write(lambda tx: consumers.remove_from_container(tx, ctx, container_id, said["name"], said["URL"]))
    return Reply(200, container_api.show_one(request))


def _secret(request: Request) -> Reply:
    """The secret with its consumers, whatever the version."""
    found = secrets.get(request.cloud.db, request.params["secret_id"])
    held = secrets.consumers_of(request.cloud.db, [found])
    return Reply(200, views.secret(request, found, held.get(found.id, ())))


_S = "/secrets/{secret_id}/consumers"
_C = "/containers/{container_id}/consumers"

ROUTES = (
    Route("GET", _S, find_of_secret, "secret_consumers:get", target=targets.secret),
    Route("POST", _S, add_to_secret, "secret_consumers:post", body=_OF_SECRET, target=targets.secret),
    Route("DELETE", _S, remove_from_secret, "secret_consumers:delete", body=_OF_SECRET, target=targets.secret),
    Route("GET", f"{_S}/{{consumer_id}}", get_of_secret, "consumer:get", target=targets.secret),
    Route("GET", _C, find_of_container, "container_consumers:get", target=targets.container),
    Route("POST", _C, add_to_container, "container_consumers:post", body=_OF_CONTAINER, target=targets.container),
    Route(
        "DELETE", _C, remove_from_container, "container_consumers:delete", body=_OF_CONTAINER, target=targets.container
    ),
    Route("GET", f"{_C}/{{consumer_id}}", get_of_container, "consumer:get", target=targets.container),
)
