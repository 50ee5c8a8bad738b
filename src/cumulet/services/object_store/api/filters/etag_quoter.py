# SPDX-License-Identifier: Apache-2.0
"""ETags between quotes, as HTTP wants them (RFC 9110, 8.8.3), for accounts and containers that ask for them."""

from __future__ import annotations

from cumulet.services.object_store.api import metadata
from cumulet.services.object_store.api.message import TRUE, Go, Request, Response
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import limits
from cumulet.services.object_store.types.indexes import Key

_NAME = "rfc-compliant-etags"


class EtagQuoter:
    """`enable_by_default` is for those that say nothing."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._all = bool(site.options.of("etag_quoter").get("enable_by_default", False))
        self.info = {"etag_quoter": {"enable_by_default": self._all}}

    async def __call__(self, request: Request, go: Go) -> Response:
        parts = request.parts
        if len(parts) < 2 or parts[0] not in self._site.limits.valid_api_versions:
            return await go(request)
        if len(parts) < 4 or not parts[3]:
            return await self._index(request, go, "container" if "".join(parts[2:]) else "account")
        if not limits.is_utf8(request.path):
            return await go(request)
        wanted = await self._is_wanted(request)
        answer = await go(request)
        etag = answer.headers.get("etag", "")
        if wanted and etag and not (etag.startswith(('"', 'W/"')) and etag.endswith('"')):
            answer.headers["etag"] = f'"{etag}"'
        return answer

    async def _index(self, request: Request, go: Go, kind: str) -> Response:
        """Let an account or a container say what it wants."""
        said, kept = f"x-{kind}-{_NAME}", f"x-{kind}-sysmeta-{_NAME}"
        headers = request.headers
        if said in headers:
            headers[kept] = str(headers[said].lower() in TRUE) if headers[said] else ""
        if headers.get(f"x-remove-{kind}-{_NAME}"):
            headers[kept] = ""
        answer = await go(request)
        if kept in answer.headers:
            answer.headers[said] = answer.headers.pop(kept)
        return answer

    async def _is_wanted(self, request: Request) -> bool:
        account, container, _ = request.names
        for kind, key in (("container", Key(account, container)), ("account", Key(account))):
            info = await self._site.engine.info(key)
            if info is None or not info.exists:
                return False
            if said := metadata.value(info, f"x-{kind}-sysmeta-{_NAME}"):
                return said.lower() in TRUE
        return self._all
