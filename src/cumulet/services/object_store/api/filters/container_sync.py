# SPDX-License-Identifier: Apache-2.0
"""Containers that are kept alike in several clusters: what comes from another one, and where one may be sent to."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Invalid, Unauthorized
from cumulet.services.object_store.api import answers, metadata, url_keys
from cumulet.services.object_store.api.filters.gatekeeper import INBOUND
from cumulet.services.object_store.api.message import Go, Request, Response, quoted
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import limits, sync_realms
from cumulet.services.object_store.logic.sync_realms import AUTH, KEY, TO
from cumulet.services.object_store.logic.sync_sending import VERSIONS, Sync
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Key

SYNCED = "container_sync"  # what `Request.extra` has of what another cluster sends: it is taken as it is there

_OLD = ("DELETE", "HEAD", "PUT")  # what may be done without a signature, with the container's key


class ContainerSync:
    """`realms` of the settings are tables by their names; `current` is this cluster's, `//REALM/CLUSTER`."""

    def __init__(self, site: Site) -> None:
        options = site.options.of("container_sync")
        self._site = site
        sync = Sync.of(options)
        self._realms, self._full_urls = sync.realms, sync.allow_full_urls
        self._stamped = not site.options.of("gatekeeper").get("shunt_inbound_x_timestamp", True)
        told: dict[str, Any] = {
            name: {"clusters": {each: {} for each in realm.clusters}}
            for name, realm in self._realms.items()
            if realm.clusters
        }
        realm, _, cluster = str(options.get("current", "")).strip("/").upper().partition("/")
        if cluster in told.get(realm, {}).get("clusters", {}):
            told[realm]["clusters"][cluster]["current"] = True
        self.info: Mapping[str, Any] = {"container_sync": {"realms": told}}

    async def __call__(self, request: Request, go: Go) -> Response:
        headers = request.headers
        said, to = headers.get(AUTH), headers.get(TO)
        old = self._stamped and KEY in headers
        if not said and not to and not old:
            return await go(request)
        parts = request.parts
        known = len(parts) > 2 and parts[0] in self._site.limits.valid_api_versions and all(parts[1:3])
        if not known or not limits.is_utf8(request.path):
            return await go(request)
        if to:
            await self._check(request, to)
        if said:
            try:
                await self._admit(request, said)
            except Unauthorized as error:
                request.log.append(f"cs:{error.code}")
                challenge = {"www-authenticate": f'SwiftContainerSync realm="{quoted(parts[1])}"'}
                return answers.refusal(401, error.message, challenge)
        elif old:
            await self._admit_old(request)
        return await go(request)

    async def _check(self, request: Request, to: str) -> None:
        account, container, name = request.names
        if request.method in ("PUT", "POST") and not name:
            info = await self._site.engine.info(Key(account, container))
            if metadata.value(info, VERSIONS):
                raise Invalid("Cannot configure container sync on a container with object versioning configured.")
        if not self._full_urls and not to.startswith("//"):
            raise Invalid(
                "Full URLs are not allowed for X-Container-Sync-To values. Only realm values of the format"
                " //realm/cluster/account/container are allowed.\n"
            )

    async def _admit_old(self, request: Request) -> None:
        """A cluster without a realm says the container's key itself, and the time, where times are believed."""
        account, container, name = request.names
        if not name or not request.stamp or request.method not in _OLD:
            return
        info = await self._site.engine.info(Key(account, container))
        key = metadata.value(info, KEY)
        if key and hmac.compare_digest(key.encode("latin-1"), request.headers[KEY].encode("latin-1")):
            request.authorize = url_keys.anything

    async def _admit(self, request: Request, said: str) -> None:
        """Unauthorized for what no cluster of the realm has signed. What has been counts as made when it was there."""
        account, container, _ = request.names
        info = await self._site.engine.info(Key(account, container))
        stamp = request.headers.pop(INBOUND, "0")
        key = metadata.value(info, KEY).encode("latin-1").decode(errors="replace")
        sync_realms.judge(self._realms, said, request.method, quoted(request.path), stamp, key)
        if stamp != "0":
            try:
                request.stamp = stamps.parse(stamp)
            except ValueError:
                raise Invalid(f"X-Timestamp should be a UNIX timestamp float value; was {stamp!r}") from None
        request.authorize = url_keys.anything
        request.extra[SYNCED] = True
