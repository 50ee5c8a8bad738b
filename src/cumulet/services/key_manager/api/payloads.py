# SPDX-License-Identifier: Apache-2.0
"""`/v1/secrets/{id}` by what is asked for and sent, and `/v1/secrets/{id}/payload`: the bytes themselves.

A caller that does not ask for JSON at a secret's own address asks for its payload, as clients of old do.
"""

from __future__ import annotations

import asyncio

from cumulet.kernel.errors import Invalid, TooLarge
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.key_manager.api import secrets as api
from cumulet.services.key_manager.api import targets
from cumulet.services.key_manager.api.dialect import UNSUPPORTED_MEDIA, media_type
from cumulet.services.key_manager.logic import payloads, secrets
from cumulet.services.key_manager.logic.refusals import no_payload

_TAKEN = [payloads.BYTES, payloads.TEXT]


def get(request: Request) -> Reply:
    accept = request.headers.get("accept")
    if accept in (None, "application/json", "*/*"):
        return api.get(request)
    request.require("secret:decrypt", targets.secret(request))
    return get_payload(request)


def get_payload(request: Request) -> Reply:
    secret = secrets.get(request.cloud.db, request.params["secret_id"])
    if secret.content_type is None:
        raise no_payload()
    accept = request.headers.get("accept") or payloads.BYTES
    kind = payloads.wanted_type(accept, secret.content_type)
    plain = payloads.shown(secrets.payload(request.cloud, request.cloud.db, secret), kind)
    shown = f"{kind}; charset=UTF-8" if kind == payloads.TEXT else kind
    return Reply(200, plain, {"Cache-Control": "no-store"}, media_type=shown)


async def put(request: Request) -> Reply:
    if media_type(request.headers.get("content-type", "")) not in _TAKEN:
        said = f"Unexpected content type. Expected content types are: {_TAKEN}"
        raise Invalid(said, code=UNSUPPORTED_MEDIA)
    sent = await _body(request)
    said, encoding = request.headers.get("content-type", ""), request.headers.get("content-encoding")
    await asyncio.to_thread(secrets.set_payload, request.cloud, request.params["secret_id"], sent, said, encoding)
    return Reply(204)


async def _body(request: Request) -> bytes:
    assert request.chunks is not None
    parts, size = [], 0
    async for chunk in request.chunks:
        size += len(chunk)
        if size > payloads.LARGEST:
            raise TooLarge("Provided information too large to process", code="Issue")
        parts.append(chunk)
    return b"".join(parts)


_ONE = "/secrets/{secret_id}"

ROUTES = (
    Route("GET", _ONE, get, "secret:get", target=targets.secret),
    Route("PUT", _ONE, put, "secret:put", target=targets.secret, stream=True),
    Route("GET", f"{_ONE}/payload", get_payload, "secret:decrypt", target=targets.secret),
)
