# SPDX-License-Identifier: Apache-2.0
"""`/v1/secrets` and `/v1/secrets/{id}`"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.key_manager.api import targets, views
from cumulet.services.key_manager.api.common import listing, page, ref, words
from cumulet.services.key_manager.api.dialect import phrase
from cumulet.services.key_manager.logic import consumers, moments, secrets
from cumulet.services.key_manager.logic import words as meanings
from cumulet.services.key_manager.logic.refusals import issue
from cumulet.services.key_manager.store.secrets import Filters
from cumulet.services.key_manager.types import Secret, SecretType

MOST_BITS = 32767
FORCE = (1, 2)  # the version since which a secret with consumers is deleted only by force
_TRUE, _FALSE = ("1", "t", "true", "on", "y", "yes"), ("0", "f", "false", "off", "n", "no")

PROPERTIES: dict[str, Any] = {
    "name": {"type": ["string", "null"], "maxLength": 255},
    "algorithm": {"type": "string", "maxLength": 255},
    "mode": {"type": "string", "maxLength": 255},
    "bit_length": {"type": "integer", "minimum": 1, "maximum": MOST_BITS},
    "expiration": {"type": "string", "maxLength": 255},
    "payload": {"type": "string"},
    "secret_type": {"type": "string", "maxLength": 80, "enum": [str(one) for one in SecretType]},
    "payload_content_type": {"type": ["string", "null"], "maxLength": 255},
    "payload_content_encoding": {"type": "string", "maxLength": 255, "enum": ["base64"]},
    "transport_key_needed": {"type": "string", "enum": ["true", "false"]},
    "transport_key_id": {"type": "string"},
}
_CREATE = Schema({"type": "object", "properties": PROPERTIES}, phrase=phrase(meanings.SECRET))

_MOMENTS = {"created": "created_at", "updated": "updated_at", "expiration": "expiration"}
_SORTS = {name: name for name in ("algorithm", "bit_length", "expiration", "mode", "name", "secret_type")}
_SORTS |= {"created": "created_at", "updated": "updated_at"}
EXACT = "eq"
_CLASHES = {"gt": {"gt", "gte"}, "gte": {"gt", "gte", EXACT}, "lt": {"lt", "lte"}, "lte": {"lt", "lte", EXACT}}
_WITH_EXACT = {EXACT, "gte", "lte"}
_NO_SORT = "status"  # upstream takes it; it is the same for all


def create(request: Request) -> Reply:
    said = words(request)
    new = meanings.read(said)
    if said.get("transport_key_id") is not None:
        raise issue("Provided transport key was not found.")
    if said.get("transport_key_needed") == "true" and new.plain is None:
        raise issue("No plugin was found that could support your request")
    made = secrets.create(request.cloud, request.ctx, new)
    url = ref(request, "secrets", made.id)
    return Reply(201, {"secret_ref": url}, {"Location": url})


def find_all(request: Request) -> Reply:
    wanted = page(request)
    found, total = secrets.find_all(request.cloud, request.ctx, filters(request.query), wanted)
    keep = {name: value for name, value in request.query.items() if name not in ("limit", "offset")}
    return Reply(200, listing(request, "secrets", show(request, found), total, wanted, keep))


def get(request: Request) -> Reply:
    found = secrets.get(request.cloud.db, request.params["secret_id"])
    return Reply(200, show(request, [found])[0])


def delete(request: Request) -> Reply:
    force = True
    if request.version >= FORCE:
        force = _truth(request.query.get("force", "false"))
    secrets.delete(request.cloud, request.params["secret_id"], even_if_needed=force)
    return Reply(204)


def show(request: Request, found: list[Secret]) -> list[dict[str, Any]]:
    """Secrets as this version of the API shows them."""
    if request.version < views.CONSUMERS:
        return [views.secret(request, one, None) for one in found]
    held = consumers.of(request.cloud.db, consumers.OF_SECRET, found)
    return [views.secret(request, one, held.get(one.id, ())) for one in found]


def filters(query: Mapping[str, str]) -> Filters:
    """The conditions and the order of a list; Invalid for times and orders that cannot be understood."""
    try:
        bits = int(query.get("bits", 0))
    except ValueError:
        bits = 0
    return Filters(
        name=query.get("name"),
        algorithm=query.get("alg"),
        mode=query.get("mode"),
        bit_length=bits if bits > 0 else None,
        secret_type=query.get("secret_type"),
        moments=tuple(
            (column, *condition)
            for name, column in _MOMENTS.items()
            if query.get(name)
            for condition in _moments(query[name])
        ),
        sort=_sort(query["sort"]) if query.get("sort") else (),
        acl_only=query.get("acl_only", "").lower() == "true",
    )


def _moments(text: str) -> list[tuple[str, datetime]]:
    """`gt:TIME,lte:TIME` or `TIME`: each bound at most once, and no bound beside an exact time that includes it."""
    found: dict[str, datetime] = {}
    for part in text.split(","):
        comparison, _, rest = part.partition(":")
        if comparison not in _CLASHES:
            comparison, rest = EXACT, part
        if found.keys() & _CLASHES.get(comparison, _WITH_EXACT):
            raise _bad_query()
        try:
            found[comparison] = moments.parse(rest)
        except ValueError:
            raise _bad_query() from None
    return list(found.items())


def _sort(text: str) -> tuple[tuple[str, bool], ...]:
    found: dict[str, bool] = {}
    for part in text.split(","):
        name, colon, direction = part.partition(":")
        known = name in _SORTS or name == _NO_SORT
        if not known or name in found or (direction if colon else "asc") not in ("asc", "desc"):
            raise _bad_query()
        found[name] = direction == "desc"
    return tuple((_SORTS[name], descending) for name, descending in found.items() if name != _NO_SORT)


def _truth(text: str) -> bool:
    if text.strip().lower() not in (*_TRUE, *_FALSE):
        raise _bad_query()
    return text.strip().lower() in _TRUE


def _bad_query() -> Invalid:
    return Invalid("URI provided invalid query string parameters.")


ROUTES = (
    Route("GET", "/secrets", find_all, "secrets:get", target=targets.anything),
    Route("POST", "/secrets", create, "secrets:post", body=_CREATE, target=targets.anything),
    Route("DELETE", "/secrets/{secret_id}", delete, "secret:delete", target=targets.secret),
)
