# SPDX-License-Identifier: Apache-2.0
"""Accounts that nothing is written to, or all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import NotAllowed
from cumulet.services.object_store.api import metadata
from cumulet.services.object_store.api.message import TRUE, Go, Request, Response, text, unquoted
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.types.indexes import Key

SAID = "x-account-sysmeta-read-only"


class ReadOnly:
    """What the operator says of an account comes before the setting `read_only` of all."""

    def __init__(self, site: Site) -> None:
        options = site.options.of("read_only")
        self._site = site
        self._all = bool(options.get("read_only", False))
        self._writes = {"COPY", "POST", "PUT"} | (set() if options.get("allow_deletes") else {"DELETE"})
        self.info: Mapping[str, Any] = {"read_only": {}} if self._all else {}

    async def __call__(self, request: Request, go: Go) -> Response:
        parts = request.parts
        if request.method in self._writes and len(parts) > 1 and parts[0] in self._site.limits.valid_api_versions:
            account = parts[1]
            if request.method == "COPY":
                account = unquoted(request.headers.get("destination-account", account))
            if account and await self._is_read_only(account):
                raise NotAllowed("Writes are disabled for this account.")
        return await go(request)

    async def _is_read_only(self, account: str) -> bool:
        try:
            info = await self._site.engine.info(Key(text(account)))
        except UnicodeError:
            return self._all
        said = metadata.value(info, SAID)
        return said.lower() in TRUE if said else self._all
