# SPDX-License-Identifier: Apache-2.0
"""Versions by X-Versions-Location and X-History-Location: what is replaced is first copied to another container.

By the first the newest copy comes back when an object is deleted; by the second all stay, and a marker tells of it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Any

from cumulet.kernel.errors import Invalid, NotFound, NotReady, Precondition
from cumulet.services.object_store.api import copies, metadata
from cumulet.services.object_store.api.message import Go, Request, Response, text, unquoted, wire
from cumulet.services.object_store.api.rights import allow
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import limits
from cumulet.services.object_store.logic.version_names import MARKER
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Key, Listed, Listing

STACK, HISTORY = "x-versions-location", "x-history-location"
LOCATION, MODE = "x-container-sysmeta-versions-location", "x-container-sysmeta-versions-mode"

_REMOVE = ("x-remove-versions-location", "x-remove-history-location")


class LegacyVersions:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._on = bool(site.options.of("versioned_writes").get("allow_versioned_writes", True))
        self.info: Mapping[str, Any] = {"versioned_writes": {"allowed_flags": [STACK, HISTORY]}} if self._on else {}

    async def __call__(self, request: Request, go: Go) -> Response:
        parts = request.parts
        if len(parts) < 3 or not parts[2] or not limits.is_text(request.path):
            return await go(request)
        if len(parts) < 4 or not parts[3]:
            return await self._container(request, go)
        if request.method not in ("PUT", "DELETE") or not self._on or request.reserved:
            return await go(request)
        account, container, _ = request.names
        info = await self._site.engine.info(Key(account, container))
        location = unquoted(metadata.value(info, LOCATION)).partition("/")[0]
        if not location:
            return await go(request)
        if not limits.is_text(location):
            raise Precondition("")
        acl = metadata.value(info, "x-container-write")
        versions = _Versions(self._site, request, go, location, acl)
        if request.method == "PUT":
            await versions.keep()
            return await go(request)
        if metadata.value(info, MODE) == "history":
            await versions.keep()
            await versions.mark()
            return await go(request)
        return await versions.pop()

    async def _container(self, request: Request, go: Go) -> Response:
        if request.method in ("PUT", "POST"):
            self._translate(request)
        answer = await go(request)
        if location := answer.headers.get(LOCATION):
            answer.headers[HISTORY if answer.headers.get(MODE) == "history" else STACK] = location
        return answer

    def _translate(self, request: Request) -> None:
        """Make what is kept of what the client says."""
        headers = request.headers
        said = {name: headers.pop(name) for name in (STACK, HISTORY) if name in headers}
        asked = {name: value for name, value in said.items() if value}
        removed = [name for name in _REMOVE if headers.pop(name, "")]
        if len(asked) > 1:
            raise Invalid(f"Only one of {STACK} or {HISTORY} may be specified")
        for name, value in asked.items():
            if not self._on:
                raise Precondition("Versioned Writes is disabled")
            if "/" in value:
                raise Precondition("Container name cannot contain slashes")
            headers[LOCATION], headers[MODE] = value, "history" if name == HISTORY else "stack"
        if not asked and (said or removed):
            headers[LOCATION] = headers[MODE] = ""


class _Versions:
    """Of the object of a request, in the container `location`; `acl` says who may write to its own."""

    def __init__(self, site: Site, request: Request, go: Go, location: str, acl: str) -> None:
        self._site, self._request, self._go = site, request, go
        self._acl = acl
        version, account, _, name = request.parts
        self._base = f"/{version}/{account}/{location}/"
        self._prefix = f"{len(name):03x}{name}/"
        self._key = Key(text(account), text(location))
        self._most = site.limits.max_file_size

    async def keep(self) -> None:
        """Copy the object, if there is one."""
        await allow(self._request, self._acl)
        found = await copies.source(self._request, self._go, self._request.path, self._most, "VW")
        if found.status == 404:
            await found.close()
            return
        await _check(found)
        path = self._path(found.headers["x-timestamp"])
        await _check(await copies.put(self._request, self._go, path, found, "VW"))

    async def mark(self) -> None:
        """Tell that the object is deleted now."""
        headers = {"content-type": MARKER, "content-length": "0"}
        asked = copies.trusted(
            self._request, "PUT", self._path(stamps.normal(stamps.now())), headers=headers, source="VW"
        )
        await _check(await self._go(asked))

    async def pop(self) -> Response:
        """Delete the object, and have the one before it come back."""
        versions = self._listed()
        judged = False
        async for name, _, _, kind, _ in versions:
            if not judged:
                await allow(self._request, self._acl)
                judged = True
            if kind == MARKER:
                if await self._is_there():
                    break
                await self._restore_next(versions)
                return await self._remove(self._base + wire(name))
            if await self._restore(name):
                return await self._remove(self._base + wire(name))
        return await self._go(self._request)

    async def _restore_next(self, versions: AsyncIterator[Listed]) -> None:
        """Bring back what was deleted by the newest marker, if that was anything."""
        async for name, _, _, kind, _ in versions:
            if kind == MARKER:
                return
            if await self._restore(name):
                answer = await self._remove(self._base + wire(name))
                if answer.status != 404:
                    await _check(answer)
                return

    async def _restore(self, name: str) -> bool:
        """False where it is not there any more."""
        found = await copies.source(self._request, self._go, self._base + wire(name), self._most, "VW")
        if found.status == 404:
            await found.close()
            return False
        await _check(found)
        await _check(await copies.put(self._request, self._go, self._request.path, found, "VW"))
        return True

    async def _is_there(self) -> bool:
        asked = copies.trusted(self._request, "HEAD", self._request.path, headers={"x-newest": "true"}, source="VW")
        answer = await self._go(asked)
        if answer.status != 404:
            await _check(answer)
        await answer.close()
        return answer.status != 404

    async def _remove(self, path: str) -> Response:
        return await self._go(copies.trusted(self._request, "DELETE", path, source="VW"))

    async def _listed(self) -> AsyncIterator[Listed]:
        """The newest first."""
        most, marker = self._site.limits.container_listing_limit, ""
        while True:
            listing = Listing(limit=most, prefix=text(self._prefix), marker=marker, reverse=True)
            try:
                _, entries = await self._site.engine.list_objects(self._key, listing)
            except NotFound:
                return
            for entry in entries:
                yield entry
            if len(entries) < most:
                return
            marker = entries[-1][0]

    def _path(self, stamp: str) -> str:
        return f"{self._base}{self._prefix}{stamp}"


async def _check(answer: Response) -> None:
    """Refuse the request where one for a version was refused: so nothing is lost."""
    if answer.ok:
        if answer.pieces is None:
            await answer.close()
        return
    await answer.close()
    if answer.status < 500:
        raise Precondition("")
    raise NotReady("")
