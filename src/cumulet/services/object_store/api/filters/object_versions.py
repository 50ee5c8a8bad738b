# SPDX-License-Identifier: Apache-2.0
"""Versions of objects (X-Versions-Enabled): each lies in a container of the store's own, the newest behind a link."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.services.object_store.api import metadata, version_homes
from cumulet.services.object_store.api.filters.version_containers import VersionedContainers
from cumulet.services.object_store.api.filters.version_objects import Versioned
from cumulet.services.object_store.api.message import TRUE, Go, Request, Response
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.api.version_homes import ENABLED
from cumulet.services.object_store.logic import limits
from cumulet.services.object_store.types.indexes import Key


class ObjectVersions:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._on = bool(site.options.of("versioned_writes").get("allow_object_versioning", True))
        self._containers = VersionedContainers(site)
        self.info: Mapping[str, Any] = {"object_versioning": {}} if self._on else {}

    async def __call__(self, request: Request, go: Go) -> Response:
        parts = request.parts
        if not self._on or request.reserved or len(parts) < 2 or not parts[1] or not limits.is_text(request.path):
            return await go(request)
        if len(parts) < 3 or not parts[2]:
            return await self._containers.account(request, go)
        if len(parts) < 4 or not parts[3]:
            return await self._containers(request, go)
        account, container, _ = request.names
        info = await self._site.engine.info(Key(account, container))
        home = version_homes.named(info)
        enabled = metadata.value(info, ENABLED).lower() in TRUE
        acl = metadata.value(info, "x-container-write")
        return await Versioned(self._site, request, go, home, acl, enabled=enabled)()
