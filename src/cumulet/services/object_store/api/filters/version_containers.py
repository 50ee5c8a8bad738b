# SPDX-License-Identifier: Apache-2.0
"""Requests for containers that keep versions of their objects, and for the list of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import msgspec
import orjson

from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotAcceptable, NotFound
from cumulet.services.object_store.api import accounts, containers, copies, metadata, version_homes
from cumulet.services.object_store.api.filters import legacy_versions
from cumulet.services.object_store.api.message import TRUE, Go, Headers, Request, Response, quoted, wire
from cumulet.services.object_store.api.rights import allow
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.api.version_homes import CONTAINER, ENABLED
from cumulet.services.object_store.logic import listings, media, version_names
from cumulet.services.object_store.logic.version_names import MARKER, NONE
from cumulet.services.object_store.types.indexes import Info, Key, Listed, ListedContainer, Listing

SAID = "x-versions-enabled"

_NO_DELIMITERS = set("0123456789.\0")

Named = tuple[str, str]  # an object and the id of a version
Entry = dict[str, Any]


class NotEnabled(CumuletError):
    """The container for versions could not be made."""

    status = 500


class VersionedContainers:
    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, request: Request, go: Go) -> Response:
        if request.method in ("PUT", "POST") and SAID in request.headers:
            return await self._enable(request, go)
        if request.method == "DELETE":
            return await self._delete(request, go)
        if request.method == "GET" and "versions" in request.query:
            return await self._list(request, go)
        return await self._told(request, await go(request))

    async def account(self, request: Request, go: Go) -> Response:
        """A list of containers tells of each what its versions need, too."""
        if request.method == "GET":
            key = Key(request.names[0])

            async def seen(listing: Listing, entries: list[ListedContainer]) -> list[ListedContainer]:
                return await self._with_versions(key, listing, entries)

            request.extra[accounts.SEEN] = seen
        return await go(request)

    async def _enable(self, request: Request, go: Go) -> Response:
        account, container, _ = request.names
        info = await self._site.engine.info(Key(account, container))
        await allow(request)
        if metadata.value(info, legacy_versions.LOCATION):
            raise Invalid(
                "Cannot enable object versioning on a container that is already using the legacy "
                "versioned writes feature."
            )
        if metadata.value(info, "x-container-sync-to"):
            raise Invalid("Cannot enable object versioning on a container configured as source of container syncing.")
        headers = request.headers
        on = headers.pop(SAID).lower() in TRUE
        headers[ENABLED] = str(on)
        if not on:
            return await go(request)
        home = wire(version_names.container(container))
        path = "/".join((*request.path.split("/", 3)[:3], home))
        asked = copies.trusted(request, "PUT", path, headers=self._policy(request, info), source="OV")
        made = await go(asked)
        await made.close()
        if not made.ok and made.status != 409:
            raise NotEnabled("Error enabling object versioning")
        headers[CONTAINER] = quoted(home)
        answer = await go(request)
        if not answer.ok and made.status == 201:
            await (await go(copies.trusted(request, "DELETE", path, source="OV"))).close()
        return answer

    def _policy(self, request: Request, info: Info | None) -> Headers:
        """Versions lie where the objects do."""
        if info is None or not info.exists:
            said = request.headers.get("x-storage-policy") if request.method == "PUT" else None
            return {} if said is None else {"x-storage-policy": said}
        policy = next(each for each in self._site.engine.policies if each.number == info.policy)
        if policy.deprecated:
            raise Invalid("Cannot enable object versioning on a container that uses a deprecated storage policy.")
        return {"x-storage-policy": wire(policy.name)}

    async def _delete(self, request: Request, go: Go) -> Response:
        account, container, _ = request.names
        info = await self._site.engine.info(Key(account, container))
        home = version_homes.named(info)
        if not home:
            return await go(request)
        await allow(request)
        versions = await version_homes.of(self._site.engine, info)
        if versions is not None and versions.total.objects:
            raise Conflict("Delete all versions before deleting container.")
        answer = await go(request)
        if answer.ok and versions is not None:
            path = "/".join((*request.path.split("/", 3)[:3], home))
            await (await go(copies.trusted(request, "DELETE", path, source="OV"))).close()
        return answer

    async def _told(self, request: Request, answer: Response) -> Response:
        """What is kept of the container, in the client's words."""
        headers = answer.headers
        if ENABLED in headers:
            headers[SAID] = headers[ENABLED]
        if CONTAINER in headers and "x-container-bytes-used" in headers:
            info = await self._site.engine.info(Key(*request.names[:2]))
            versions = await version_homes.of(self._site.engine, info)
            if versions is not None:
                used = int(headers["x-container-bytes-used"]) + versions.total.bytes
                headers["x-container-bytes-used"] = str(used)
        return answer

    async def _list(self, request: Request, go: Go) -> Response:
        """All versions, in JSON: the newest of an object first, and of an object that has none itself."""
        said = request.query.get("format", "").lower()
        if said != "json" and (said or not media.takes(request.headers.get("accept", ""), media.JSON)):
            raise NotAcceptable("")
        own = listings.asked(request.query, self._site.limits.container_listing_limit)
        asked_for = _of_versions(request.query, own)
        found: list[Listed] = []

        def seen(info: Info, entries: list[Listed]) -> None:
            found.extend(entries)

        query = urlencode(request.query | {"format": "json"}, encoding="latin-1")
        asked = request.sub("GET", headers=request.headers, query=query)
        asked.extra = {**request.extra, containers.SEEN: seen}
        answer = await self._told(request, await go(asked))
        if not answer.ok:
            return answer
        account, container, _ = request.names
        place = f"/{request.parts[0]}/{quoted(request.parts[1])}"
        home = Key(account, version_names.container(container))
        try:
            _, versions = await self._site.engine.list_objects(home, asked_for)
        except NotFound:
            versions = []
        told = _Told(found, versions, place, container).entries()
        told = sorted(told, key=lambda entry: entry.get("subdir") or entry["name"], reverse=own.reverse)
        answer.body = orjson.dumps(told[: own.limit])
        answer.status = 200
        return answer

    async def _with_versions(self, key: Key, listing: Listing, entries: list[ListedContainer]) -> list[ListedContainer]:
        def hidden(name: str) -> str:
            return version_names.CONTAINER + name if name else ""

        asked = msgspec.structs.replace(
            listing,
            prefix=version_names.CONTAINER + listing.prefix,
            marker=hidden(listing.marker),
            end_marker=hidden(listing.end_marker),
            reserved=True,
        )
        try:
            _, found = await self._site.engine.list_containers(key, asked)
        except NotFound:
            return entries
        homes = {
            entry[0].removeprefix(version_names.CONTAINER): entry for entry in found if entry[4] != listings.SUBDIR
        }
        if not homes:
            return entries
        told = [_larger(entry, homes.pop(entry[0], None)) for entry in entries]
        # What is left belongs to containers that are not there any more.
        told += [(name, 0, size, put, policy) for name, (_, _, size, put, policy) in homes.items()]
        return sorted(told, key=lambda entry: entry[0], reverse=listing.reverse)[: listing.limit]


class _Told:
    """What is told of the entries of a container and of those of its versions."""

    def __init__(self, entries: Iterable[Listed], versions: Iterable[Listed], account: str, container: str) -> None:
        self._versions, self._account, self._container = versions, account, container
        self._subdirs: set[str] = set()
        self._plain: list[Entry] = []
        self._current: dict[Named, Listed] = {}
        self._latest: set[str] = set()
        for entry in entries:
            self._sort(entry)

    def _sort(self, entry: Listed) -> None:
        version = listings.version_of(entry, self._container)
        if entry[3] is None:
            self._subdirs.add(entry[0])
        elif version is not None:
            self._current[version] = entry
        else:
            self._plain.append(self._described(entry) | {"version_id": NONE, "is_latest": True})
            self._latest.add(entry[0])

    def entries(self) -> list[Entry]:
        kept = []
        for entry in self._versions:
            if entry[3] is None:
                self._subdirs.add(entry[0].split("\0")[1])
            elif (version := version_names.parse(entry[0])) is not None:
                kept.append(self._kept(entry, version))
        lost = [self._link(entry, version) for version, entry in self._current.items()]
        return [*self._plain, *kept, *({"subdir": each} for each in self._subdirs), *lost]

    def _kept(self, entry: Listed, version: Named) -> Entry:
        latest = self._current.pop(version, None) is not None
        latest = latest or (entry[3] == MARKER and version[0] not in self._latest)
        if latest:
            self._latest.add(version[0])
        return self._described(entry) | {"name": version[0], "version_id": version[1], "is_latest": latest}

    def _link(self, entry: Listed, version: Named) -> Entry:
        """Of a link whose version is not among those that are listed."""
        latest = version[0] not in self._latest
        self._latest.add(version[0])
        fields = ("content_type", "bytes", "hash", "last_modified")
        told = self._described(entry)
        return {"name": version[0], "version_id": version[1], "is_latest": latest} | {
            each: told[each] for each in fields
        }

    def _described(self, entry: Listed) -> Entry:
        return listings.described(entry, self._account, self._container)


def _of_versions(query: dict[str, str], own: Listing) -> Listing:
    """What is to be listed of the versions for a request for such a listing of their container."""
    if set(own.delimiter) & _NO_DELIMITERS:
        raise Invalid("invalid delimiter param")
    said = listings.text(query, "version_marker")
    marker = ""
    if "marker" in query:
        marker = version_names.prefix(own.marker) if "\0" not in own.marker else own.marker
        if said is None:
            marker += ":"  # behind all times
        elif said != NONE:
            try:
                marker = version_names.of(own.marker, version_names.stamp(said))
            except ValueError:
                raise Invalid("invalid version_marker param") from None
    elif said is not None:
        raise Invalid("version_marker param requires marker")
    return Listing(
        limit=own.limit,
        prefix=version_names.MARK + own.prefix if "prefix" in query else "",
        marker=marker,
        delimiter=own.delimiter,
        reverse=own.reverse,
        reserved=True,
    )


def _larger(entry: ListedContainer, versions: ListedContainer | None) -> ListedContainer:
    if versions is None:
        return entry
    name, objects, size, put, policy = entry
    return name, objects, size + versions[2], put, policy
