# SPDX-License-Identifier: Apache-2.0
"""Requests for an object of which there may be versions."""

from __future__ import annotations

from collections.abc import AsyncIterator

from cumulet.kernel.errors import CumuletError, Invalid, NotFound, NotReady, Precondition
from cumulet.services.object_store.api import answers, copies
from cumulet.services.object_store.api.filters import symlinks
from cumulet.services.object_store.api.message import (
    TRUE,
    Body,
    Go,
    Headers,
    Request,
    Response,
    quoted,
    text,
    unquoted,
    wire,
)
from cumulet.services.object_store.api.objects import NoLength
from cumulet.services.object_store.api.rights import allow
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import conditions, segments, version_names
from cumulet.services.object_store.logic.version_names import MARKER, NONE
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Key

ID, CURRENT = "x-object-version-id", "x-object-current-version-id"

_EXPIRY = ("x-delete-at", "x-delete-after")
_NOT_THE_LINKS = (
    "etag",
    "x-if-delete-at",
    "x-symlink-target-account",
    "x-object-manifest",
    segments.MANIFEST,
    segments.ETAG,
    segments.SIZE,
    "transfer-encoding",
    "content-length",
)


class NoHome(CumuletError):
    """The container of versions is not there."""

    status = 500


class Versioned:
    """`home` is where versions lie, "" where there are none; `acl` says who may write to the container."""

    def __init__(self, site: Site, request: Request, go: Go, home: str, acl: str, *, enabled: bool) -> None:
        self._site, self._request, self._go = site, request, go
        self._home, self._acl, self._enabled = home, acl, enabled
        self._version, self._account, self._container, self._name = request.parts

    async def __call__(self) -> Response:
        try:
            return await self._answer()
        except _Refused as refused:
            return refused.answer

    async def _answer(self) -> Response:
        identity = self._request.query.get("version-id")
        if identity:
            return await self._of_one(identity)
        method = self._request.method
        if not self._home:
            return await self._go(self._request)
        if method in ("PUT", "DELETE"):
            if not self._enabled:
                return await self._go(self._request)
            return await (self._put() if method == "PUT" else self._delete())
        if method == "POST":
            return await self._post()
        return await self._read()

    async def _of_one(self, identity: str) -> Response:
        """A request for one version, whether or not more are to be made."""
        method = self._request.method
        if method == "POST":
            raise Invalid("POST to a specific version is not allowed")
        if not self._home and identity != NONE:
            raise Invalid("version-aware operations require that the container is versioned")
        stamp = 0 if identity == NONE else _stamp(identity)
        if method == "OPTIONS":
            return await self._go(self._request)
        if method == "PUT":
            if identity == NONE:
                raise Invalid("Invalid version parameter")
            return await self._put_again(stamp)
        if method == "DELETE":
            return await (self._go(self._request) if identity == NONE else self._delete_one(identity, stamp))
        return await (self._read_none() if identity == NONE else self._read_one(identity, stamp))

    async def _put(self) -> Response:
        request = self._request
        symlinks.distrust(request.headers)
        await self._keep()
        request.now()
        home = self._path(request.stamp)
        counted = _Counted(request.body)
        headers = {name: value for name, value in request.headers.items() if name not in _EXPIRY}
        asked = copies.trusted(request, "PUT", home, headers=headers, body=counted.body, source="OV")
        asked.stamp = request.stamp
        asked.extra = dict(request.extra)
        answer = await self._go(asked)
        if not answer.ok:
            return await self._refused(answer)
        await answer.close()
        size = headers.get(segments.SIZE) or str(counted.size)
        # The store may have guessed it.
        kind = asked.headers.get("content-type", "").partition(";")[0]
        return await self._link(request.stamp, answer.headers["etag"], size, kind)

    async def _put_again(self, stamp: int) -> Response:
        """Make an old version the current one."""
        body = self._request.body
        if body.size is None and not self._request.headers.get("transfer-encoding", "").lower().endswith("chunked"):
            raise NoLength("")
        if body.size or (body.size is None and await body.read(0) is None):
            raise Invalid("PUT version-id requests require a zero byte body")
        asked = copies.trusted(self._request, "HEAD", self._path(stamp), query="symlink=get", source="OV")
        answer = await self._go(asked)
        await answer.close()
        if answer.status == 404:
            info = await self._site.engine.info(Key(text(self._account), text(self._home)))
            if info is not None and info.exists:
                raise NotFound("The specified version does not exist")
            raise _no_home()
        if not answer.ok:
            return await self._refused(answer)
        headers = answer.headers
        size = headers.get(segments.SIZE) or str(answer.length or 0)
        return await self._link(stamp, headers["etag"], size, headers.get("content-type", ""))

    async def _link(self, stamp: int, etag: str, size: str, kind: str) -> Response:
        """Have the object's own name stand for a version."""
        request = self._request
        request.stamp = request.now() + 1
        headers = request.headers
        for name in _NOT_THE_LINKS:
            headers.pop(name, None)
        headers |= {
            symlinks.ETAG: conditions.bare(etag),
            symlinks.SIZE: size,
            "content-type": kind,
            "content-length": "0",
            "x-symlink-target": quoted(f"{self._home}/{self._named(stamp)}"),
            symlinks.VERSION: "true",
            symlinks.EXTEND: "true",
            symlinks.RESERVED: "true",
        }
        request.body, request.reserved = Body.of(b""), True
        answer = await self._go(request)
        if answer.ok:
            answer.headers["etag"] = etag
            answer.headers[ID] = stamps.internal(stamp)
        return answer

    async def _keep(self) -> None:
        """Make a version of an object that was there before there were any."""
        await allow(self._request, self._acl)
        found = await copies.source(self._request, self._go, self._request.path, self._site.limits.max_file_size, "OV")
        try:
            if found.status == 404:
                return
            if not found.ok:
                raise _Refused(await self._refused(found))
            if self._request.method == "PUT" and conditions.only_new(self._request.headers):
                raise Precondition("")
            if found.headers.get(symlinks.VERSION) == "true":
                return
            moment = stamps.parse(found.headers["x-timestamp"])
            answer = await copies.put(self._request, self._go, self._path(moment), found, "OV")
            if not answer.ok:
                raise _Refused(await self._refused(answer))
            await answer.close()
        finally:
            await found.close()

    async def _delete(self) -> Response:
        """Leave a marker as the newest version, and nothing under the object's name."""
        request = self._request
        await self._keep()
        stamp = request.now()
        headers = {"content-type": MARKER, "content-length": "0"}
        asked = copies.trusted(request, "PUT", self._path(stamp), headers=headers, source="OV")
        asked.stamp = stamp
        answer = await self._go(asked)
        if not answer.ok:
            return await self._refused(answer)
        await answer.close()
        answer = await self._go(request)
        if answer.ok or answer.status == 404:
            answer.headers[ID] = stamps.internal(stamp)
            answer.headers["x-backend-content-type"] = MARKER
        return answer

    async def _delete_one(self, identity: str, stamp: int) -> Response:
        await allow(self._moved(stamp))
        current = await self._current()
        if current == self._named(stamp):
            answer = await self._go(self._request)
            if not answer.ok:
                return await self._refused(answer)
            await answer.close()
            current = None
        answer = await self._go(self._moved(stamp))
        answer.headers[ID] = identity
        parsed = version_names.parse(text(current)) if current is not None else None
        answer.headers[CURRENT] = NONE if parsed is None else parsed[1]
        return answer

    async def _current(self) -> str | None:
        """The name of the version that the object stands for."""
        headers = {"x-newest": "true"}
        asked = copies.trusted(
            self._request, "HEAD", self._request.path, headers=headers, query="symlink=get", source="OV"
        )
        answer = await self._go(asked)
        await answer.close()
        if answer.status == 404:
            return None
        if not answer.ok:
            raise _Refused(await self._refused(answer))
        if answer.headers.get(symlinks.VERSION) != "true":
            return None
        home, _, name = unquoted(answer.headers.get("x-symlink-target", "")).partition("/")
        return name if home == self._home else None

    async def _post(self) -> Response:
        headers = {name: value for name, value in self._request.headers.items() if name not in _EXPIRY}
        answer = await self._go(self._request)
        if answer.status != 307 or answer.headers.get(symlinks.VERSION, "").lower() not in TRUE:
            return answer
        path = unquoted(answer.headers["location"])
        if path.split("/", 4)[2:4] != [self._account, self._home]:
            return answer
        await answer.close()
        return await self._go(copies.trusted(self._request, "POST", path, headers=headers, source="OV"))

    async def _read(self) -> Response:
        answer = await self._go(self._request)
        headers = answer.headers
        headers[ID] = NONE
        if place := unquoted(headers.get("content-location", "")):
            self._tell(headers, "content-location", place.split("/", 3)[2:], f"/{self._version}/{self._account}/")
        if target := unquoted(headers.get("x-symlink-target", "")):
            self._tell(headers, "x-symlink-target", [self._account, target], "")
        return answer

    def _tell(self, headers: Headers, header: str, place: list[str], before: str) -> None:
        """Where a header tells of a version, name it as clients do."""
        account, path = place
        home, _, name = path.partition("/")
        parsed = version_names.parse(text(name))
        if account == self._account and home == self._home and parsed is not None:
            headers[ID] = parsed[1]
            headers[header] = f"{quoted(f'{before}{self._container}/{self._name}')}?version-id={parsed[1]}"

    async def _read_one(self, identity: str, stamp: int) -> Response:
        answer = await self._go(self._moved(stamp))
        if answer.headers.get("content-type") == MARKER:
            await answer.close()
            refused = answers.refusal(404)
            refused.headers |= {ID: identity, "content-type": MARKER}
            return refused
        if answer.ok:
            answer.headers[ID] = identity
        return answer

    async def _read_none(self) -> Response:
        answer = await self._go(self._request)
        if answer.ok:
            if version_names.CONTAINER in unquoted(answer.headers.get("content-location", "")):
                await answer.close()
                raise NotFound("")
            answer.headers[ID] = NONE
        return answer

    async def _refused(self, answer: Response) -> Response:
        """What the client is told where a version could not be written."""
        await answer.close()
        if answer.status >= 500:
            raise NotReady("")
        if answer.status == 404:
            info = await self._site.engine.info(Key(text(self._account), text(self._home)))
            if info is None or not info.exists:
                raise _no_home()
            raise Precondition("")
        return answer

    def _moved(self, stamp: int) -> Request:
        made = self._request.moved(self._path(stamp))
        made.reserved = True
        return made

    def _named(self, stamp: int) -> str:
        return wire(version_names.of(text(self._name), stamp))

    def _path(self, stamp: int) -> str:
        return f"/{self._version}/{self._account}/{self._home}/{self._named(stamp)}"


class _Refused(Exception):
    def __init__(self, answer: Response) -> None:
        super().__init__(answer.status)
        self.answer = answer


class _Counted:
    """A body, and how many bytes of it have come."""

    def __init__(self, body: Body) -> None:
        self.size = 0
        self.body = Body(self._pieces(body), body.size)

    async def _pieces(self, body: Body) -> AsyncIterator[bytes]:
        async for piece in body:
            self.size += len(piece)
            yield piece


def _stamp(identity: str) -> int:
    try:
        return version_names.stamp(identity)
    except ValueError:
        raise Invalid("Invalid version parameter") from None


def _no_home() -> NoHome:
    return NoHome("The versions container does not exist. You may want to re-enable object versioning.")
