# SPDX-License-Identifier: Apache-2.0
"""Symlinks: objects without bytes that stand for another one, static ones for it with this ETag alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Conflict, Invalid, Precondition
from cumulet.services.object_store.api import answers
from cumulet.services.object_store.api.filters.container_sync import SYNCED
from cumulet.services.object_store.api.filters.copying import OVERRIDE
from cumulet.services.object_store.api.message import TRUE, Go, Headers, Request, Response, quoted, unquoted
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import conditions, segments

NAMED = ("target", "target-account", "target-etag", "target-bytes")
KEPT = "x-object-sysmeta-symlink-"
TARGET, ACCOUNT, ETAG, SIZE = (f"{KEPT}{each}" for each in NAMED)
EXTEND = "x-object-sysmeta-symloop-extend"  # a link that is not counted where links make a loop
RESERVED = "x-object-sysmeta-allow-reserved-names"  # a link that may stand for what is the store's own
VERSION = "x-object-sysmeta-versions-symlink"  # a link to the current version of an object

_TRUSTED = (EXTEND, RESERVED, VERSION)
_SAID = "x-symlink-"
_EMPTY = "d41d8cd98f00b204e9800998ecf8427e"
_FORM = "X-Symlink-Target header must be of the form <container name>/<object name>"
_REDIRECTED = "The requested POST was applied to a symlink. POST directly to the target to apply requested metadata."


def distrust(headers: Headers) -> None:
    """Take away what only links of the store's own may have: a copy brings what its source was trusted with."""
    for name in _TRUSTED:
        headers.pop(name, None)


class Symlinks:
    def __init__(self, site: Site) -> None:
        most = int(site.options.of("symlink").get("symloop_max", 2))
        self._most = most if most > 0 else 2
        self.info: Mapping[str, Any] = {"symlink": {"symloop_max": self._most, "static_links": True}}

    async def __call__(self, request: Request, go: Go) -> Response:
        if len(request.parts) < 4 or not request.parts[3]:
            return await go(request)
        if request.method in ("GET", "HEAD"):
            if request.query.get("symlink") == "get":
                answer = await go(request)
                for name in NAMED:
                    if KEPT + name in answer.headers:
                        answer.headers[_SAID + name] = answer.headers.pop(KEPT + name)
                return answer
            request.whole = (*request.whole, TARGET)
            return await _Walk(request, go, self._most).follow(request)
        if request.method == "PUT" and not request.reserved:
            distrust(request.headers)
        if request.method == "PUT" and f"{_SAID}target" in request.headers:
            return await self._put(request, go)
        if request.method == "POST":
            return await _post(request, go)
        return await go(request)

    async def _put(self, request: Request, go: Go) -> Response:
        size = request.body.size
        if size or (size is None and await request.body.read(0) is None):
            raise Invalid("Symlink requests require a zero byte body")
        path, etag = _target(request)
        headers = request.headers
        if etag and SYNCED in request.extra:  # the target may come later
            headers[ETAG], headers[SIZE] = etag, headers.get(f"{_SAID}target-bytes", "0")
        elif etag:
            refused = await self._pin(request, go, path, etag)
            if refused is not None:
                return refused
        for name in ("target", "target-account"):
            if _SAID + name in headers:
                headers[KEPT + name] = headers.pop(_SAID + name)
        headers[f"{OVERRIDE}etag"] = _listed(headers)
        return await go(request)

    async def _pin(self, request: Request, go: Go, path: str, etag: str) -> Response | None:
        """Note what the target is, which has to have this ETag; the answer where it may not be seen."""
        headers = request.headers
        asked = request.sub("HEAD", path, source="SYM")
        asked.reserved = request.reserved
        if RESERVED in headers:
            asked.authorize = None
        walk = _Walk(asked, go, self._most, path)
        answer = await walk.follow(asked, etag, soft=False)
        await answer.close()
        if answer.status == 404:
            raise Conflict("X-Symlink-Target does not exist", headers={"Content-Location": walk.last})
        if not answer.ok:
            return answers.refusal(answer.status)
        found = answer.headers
        if f"{OVERRIDE}etag" not in headers:
            _, semicolon, more = found.get(f"{OVERRIDE}etag", "").partition(";")
            if semicolon:
                headers[f"{OVERRIDE}etag"] = f"{_EMPTY};{more}"
            elif segments.ETAG in found:
                headers[f"{OVERRIDE}etag"] = f"{_EMPTY}; slo_etag={found[segments.ETAG]}"
        headers[SIZE] = found.get(segments.SIZE) or str(answer.length or 0)
        headers[ETAG] = etag
        if not headers.get("content-type"):
            headers["content-type"] = found.get("content-type", "")
        return None


class _Walk:
    """From link to link, at most `most` of them; `last` is where it has come to."""

    def __init__(self, request: Request, go: Go, most: int, last: str = "") -> None:
        self._request, self._go, self._most = request, go, most
        self._steps = 0
        self.last = quoted(last)

    async def follow(self, request: Request, etag: str = "", *, soft: bool = True) -> Response:
        """The answer of the first that is no link; with `soft` false of the first that is no static one.

        Conflict where a target has not the ETag that it is to have.
        """
        while True:
            answer = await self._go(request)
            headers = answer.headers
            pinned = headers.get(ETAG, "")
            if TARGET not in headers or not (pinned or soft):
                break
            await answer.close()
            if etag and etag != (pinned or headers.get("etag")):
                raise self._conflict("X-Symlink-Target-Etag headers do not match")
            if self._steps >= self._most:
                raise Conflict(f"Too many levels of symbolic links, maximum allowed is {self._most}")
            self._steps += headers.get(EXTEND, "").lower() not in TRUE
            request, etag, soft = self._next(request, headers), pinned, True
        found = headers.get("etag")
        if found and etag and etag != found:
            await answer.close()
            raise self._conflict(f"Object Etag {found!r} does not match X-Symlink-Target-Etag header {etag!r}")
        if self.last:
            headers["content-location"] = self.last
        return answer

    def _conflict(self, words: str) -> Conflict:
        return Conflict(words, headers={"Content-Location": self.last})

    def _next(self, request: Request, headers: Headers) -> Request:
        version, account = request.parts[:2]
        self.last = f"/{version}/{headers.get(ACCOUNT) or quoted(account)}/{headers[TARGET].lstrip('/')}"
        made = self._request.sub(
            request.method, unquoted(self.last), headers=dict(request.headers), query="", source="SYM"
        )
        made.etags, made.whole = request.etags, request.whole
        if RESERVED in headers:
            # Whoever made the link had been allowed to read what it stands for.
            made.reserved, made.authorize = True, None
        return made


async def _post(request: Request, go: Go) -> Response:
    if f"{_SAID}target" in request.headers:
        raise Invalid("A PUT request is required to set a symlink target")
    answer = await go(request)
    found = answer.headers
    if not answer.ok or TARGET not in found:
        return answer
    version, account = request.parts[:2]
    headers = {name: value for name, value in found.items() if name.startswith("x-object-sysmeta-")}
    headers["location"] = f"/{version}/{found.get(ACCOUNT) or quoted(account)}/{found[TARGET]}"
    if ETAG in found:
        headers[f"{_SAID}target-etag"] = found[ETAG]
    return answers.refusal(307, _REDIRECTED, headers)


def _target(request: Request) -> tuple[str, str]:
    """The path that the link stands for, and the ETag that it shall have, "" for any."""
    headers = request.headers
    container, slash, name = unquoted(headers[f"{_SAID}target"]).partition("/")
    if not container or not slash or not name:
        raise Precondition(_FORM)
    headers[f"{_SAID}target"] = quoted(f"{container}/{name}")
    version, own, *there = request.parts
    account = own
    if f"{_SAID}target-account" in headers:
        account = unquoted(headers[f"{_SAID}target-account"])
        if not account:
            raise Precondition("Account name cannot be empty")
        if "/" in account:
            raise Precondition("Account name cannot contain slashes")
        headers[f"{_SAID}target-account"] = quoted(account)
    if (account, container, name) == (own, *there):
        raise Invalid("Symlink cannot target itself")
    etag = conditions.bare(headers.get(f"{_SAID}target-etag", ""))
    if any(each in etag for each in ';"\\'):
        raise Invalid("Bad X-Symlink-Target-Etag format")
    if not etag and not headers.get("content-type"):
        headers["content-type"] = "application/symlink"
    return f"/{version}/{account}/{container}/{name}", etag


def _listed(headers: Headers) -> str:
    """What listings have as ETag: what is known of the target stands behind it."""
    before = headers.get(f"{OVERRIDE}etag", _EMPTY).split(";")
    words = [each.strip() for each in before if not each.strip().startswith("symlink_")]
    for name in NAMED:
        if KEPT + name in headers:
            words.append(f"symlink_{name.replace('-', '_')}={headers[KEPT + name]}")
    return "; ".join(words)
