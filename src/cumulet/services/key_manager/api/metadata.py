# SPDX-License-Identifier: Apache-2.0
"""`/v1/secrets/{id}/metadata`: the user's own words."""

from __future__ import annotations

from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.key_manager.api import targets
from cumulet.services.key_manager.api.common import ref, words
from cumulet.services.key_manager.api.dialect import phrase
from cumulet.services.key_manager.logic import metadata

_ALL = Schema(
    {"type": "object", "properties": {"metadata": {"type": "object"}}, "required": ["metadata"]},
    phrase=phrase("SecretMetadata", required_is_named=True),
)
_WORD = {"type": "string", "maxLength": metadata.LONGEST}
_ONE = Schema(
    {
        "type": "object",
        "properties": {"key": _WORD, "value": _WORD},
        "required": ["key", "value"],
        "additionalProperties": False,
    },
    phrase=phrase("SecretMetadatum", required_is_named=True),
)


def find_all(request: Request) -> Reply:
    return Reply(200, {"metadata": metadata.find_all(request.cloud, request.params["secret_id"])})


def replace_all(request: Request) -> Reply:
    secret_id = request.params["secret_id"]
    metadata.replace_all(request.cloud, secret_id, words(request)["metadata"])
    return Reply(201, {"metadata_ref": f"{ref(request, 'secrets', secret_id)}/metadata"})


def create(request: Request) -> Reply:
    secret_id, said = request.params["secret_id"], words(request)
    key = metadata.add(request.cloud, secret_id, said["key"], said["value"])
    location = f"{ref(request, 'secrets', secret_id)}/metadata/{key}"
    return Reply(201, {"key": key, "value": said["value"]}, {"Location": location})


def get(request: Request) -> Reply:
    key = request.params["key"]
    return Reply(200, {"key": key, "value": metadata.get(request.cloud, request.params["secret_id"], key)})


def update(request: Request) -> Reply:
    said = words(request)
    secret_id, named = request.params["secret_id"], request.params["key"]
    key = metadata.change(request.cloud, secret_id, named, said["key"], said["value"])
    return Reply(200, {"key": key, "value": said["value"]})


def delete(request: Request) -> Reply:
    metadata.remove(request.cloud, request.params["secret_id"], request.params["key"])
    return Reply(204)


_PATH = "/secrets/{secret_id}/metadata"
_KEY = f"{_PATH}/{{key}}"

ROUTES = (
    Route("GET", _PATH, find_all, "secret_meta:get", target=targets.secret),
    Route("PUT", _PATH, replace_all, "secret_meta:put", body=_ALL, target=targets.secret),
    Route("POST", _PATH, create, "secret_meta:post", body=_ONE, target=targets.secret),
    Route("GET", _KEY, get, "secret_meta:get", target=targets.secret),
    Route("PUT", _KEY, update, "secret_meta:put", body=_ONE, target=targets.secret),
    Route("DELETE", _KEY, delete, "secret_meta:delete", target=targets.secret),
)
