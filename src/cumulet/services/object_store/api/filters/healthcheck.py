# SPDX-License-Identifier: Apache-2.0
"""Whether the store is there: `/healthcheck`."""

from __future__ import annotations

from pathlib import Path

from cumulet.services.object_store.api import answers
from cumulet.services.object_store.api.message import NOTHING, Go, Request, Response
from cumulet.services.object_store.api.site import Site


class Healthcheck:
    """With the file that `disable_path` names it answers 503, so that whoever balances load sends nothing any more."""

    info = NOTHING

    def __init__(self, site: Site) -> None:
        path = site.options.of("healthcheck").get("disable_path", "")
        self._off = Path(path) if path else None

    async def __call__(self, request: Request, go: Go) -> Response:
        if request.path != "/healthcheck":
            return await go(request)
        if self._off is not None and self._off.exists():
            return Response(503, {"content-type": answers.PLAIN}, b"DISABLED BY FILE")
        return Response(200, {"content-type": answers.PLAIN}, b"OK")
