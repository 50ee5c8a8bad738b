# SPDX-License-Identifier: Apache-2.0
"""Keeps headers that are the store's own from coming in and from going out."""

from __future__ import annotations

import re

from cumulet.kernel.errors import Invalid
from cumulet.services.object_store.api.message import NOTHING, Go, Request, Response
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.types import stamps

OWN = re.compile(
    r"x-(?:account|container|object)-sysmeta-|x-object-transient-sysmeta-|x-backend|x-timestamp$"
    r"|x-account-(?:host|device|partition)$|x-container-(?:host|device|partition|root-db-state)$"
    r"|x-delete-at-(?:host|device|partition|container)$"
)
INBOUND = "x-backend-inbound-x-timestamp"


class Gatekeeper:
    """With `shunt_inbound_x_timestamp` false an object is of the time that its writer says, whoever that is."""

    info = NOTHING

    def __init__(self, site: Site) -> None:
        self._shunts = bool(site.options.of("gatekeeper").get("shunt_inbound_x_timestamp", True))

    async def __call__(self, request: Request, go: Go) -> Response:
        headers = request.headers
        stamp = headers.get("x-timestamp")
        for name in [name for name in headers if name[:2] == "x-" and OWN.match(name)]:
            del headers[name]
        if stamp is not None:
            headers[INBOUND] = stamp
            if not self._shunts and len(request.parts) > 3 and request.parts[3]:
                request.stamp = _stamp(stamp)
        answer = await go(request)
        kept = answer.headers
        for name in [name for name in kept if name[:2] == "x-" and name != "x-timestamp" and OWN.match(name)]:
            del kept[name]
        return answer


def _stamp(said: str) -> int:
    try:
        return stamps.parse(said)
    except ValueError:
        raise Invalid(f"X-Timestamp should be a UNIX timestamp float value; was {said!r}") from None
