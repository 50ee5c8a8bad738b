# SPDX-License-Identifier: Apache-2.0
"""`/v1/transport_keys`: there are none, for the one secret store has no use for them."""

from __future__ import annotations

from cumulet.kernel.errors import NotFound, Unsupported
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.key_manager.api import targets
from cumulet.services.key_manager.api.common import listing, page, words
from cumulet.services.key_manager.api.dialect import phrase
from cumulet.services.key_manager.logic import secrets
from cumulet.services.key_manager.logic.refusals import bad_id, mismatch

SCHEMA = "Transport Key"
_CREATE = Schema(
    {"type": "object", "properties": {"plugin_name": {"type": "string"}, "transport_key": {"type": "string"}}},
    phrase=phrase(SCHEMA),
)


def find_all(request: Request) -> Reply:
    return Reply(200, listing(request, "transport_keys", [], 0, page(request)))


def create(request: Request) -> Reply:
    said = words(request)
    for name in ("plugin_name", "transport_key"):
        if not said.get(name):
            raise mismatch(SCHEMA, f"{name} must be provided", name)
    raise Unsupported("The secret store has no use for transport keys.")


def get(request: Request) -> Reply:
    if not secrets.is_id(request.params["key_id"]):
        raise bad_id("transport key")
    raise NotFound("Not Found. Transport Key not found.")


_ONE = "/transport_keys/{key_id}"

ROUTES = (
    Route("GET", "/transport_keys", find_all, "transport_keys:get", target=targets.anything),
    Route("POST", "/transport_keys", create, "transport_keys:post", body=_CREATE, target=targets.anything),
    Route("GET", _ONE, get, "transport_key:get", target=targets.anything),
    Route("DELETE", _ONE, get, "transport_key:delete", target=targets.anything),
)
