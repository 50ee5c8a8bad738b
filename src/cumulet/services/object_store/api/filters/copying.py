# SPDX-License-Identifier: Apache-2.0
"""Copies that the store makes itself: COPY, and PUT with X-Copy-From."""

from __future__ import annotations

import re
from urllib.parse import urlencode

from cumulet.kernel.errors import Invalid, Precondition, TooLarge
from cumulet.services.object_store.api import answers, heartbeats
from cumulet.services.object_store.api.message import NOTHING, Body, Go, Headers, Request, Response, quoted, unquoted
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import media, reports

OVERRIDE = "x-object-sysmeta-container-update-override-"

_KEPT_APART = frozenset(
    ("x-static-large-object", "x-object-manifest", "etag", "content-type", "x-timestamp", "content-length")
)
_OF_ANSWERS = frozenset(("last-modified", "accept-ranges", "content-range", "x-trans-id", "x-openstack-request-id"))


_OWN = re.compile(r"x-object-sysmeta-|x-object-transient-sysmeta-|x-backend")


class Copying:
    info = NOTHING

    def __init__(self, site: Site) -> None:
        self._most = site.limits.max_file_size
        self._frequency = float(site.options.of("copy").get("yield_frequency", 10))

    async def __call__(self, request: Request, go: Go) -> Response:
        if request.method == "COPY" and len(request.parts) == 4 and request.parts[3]:
            _turn_round(request)
        elif request.method == "OPTIONS" and len(request.parts) == 4:
            return _with_copy(await go(request))
        elif request.method != "PUT" or not request.headers.get("x-copy-from") or len(request.parts) < 4:
            return await go(request)
        return await self._copy(request, go)

    async def _copy(self, request: Request, go: Go) -> Response:
        if request.body.size:
            raise Invalid("Copy requests require a zero byte body")
        version, account = request.parts[:2]
        if said := request.headers.get("x-copy-from-account"):
            account = _account(said)
        container, name = _path(request, "x-copy-from", "X-Copy-From")
        source = await go(self._asking(request, f"/{version}/{account}/{container}/{name}"))
        if source.status >= 300:
            return source
        try:
            if source.pieces is not None and source.length is None:
                raise TooLarge("")
            size = source.length if source.pieces is not None else len(source.body)
            if size is not None and size > self._most:
                raise TooLarge("")
            sink = _sink(request, source)
            sink.body = Body(source.pieces, size) if source.pieces is not None else Body.of(source.body)
            told = _told(source, sink, account, f"{container}/{name}")
            if heartbeats.wanted(request):
                return self._beating(request, go, source, sink, told)
            answer = await go(sink)
        except BaseException:
            await source.close()
            raise
        await source.close()
        if answer.ok:
            answer.headers |= told
        return answer

    def _beating(self, request: Request, go: Go, source: Response, sink: Request, told: Headers) -> Response:
        """An answer that begins before the copy is there, and tells at its end what became of it."""
        form = reports.form_of(request.headers.get("accept", ""), offered=(media.PLAIN, media.JSON))

        async def work() -> bytes:
            answer = await go(sink)
            status = f"{answer.status} {answers.reason(answer.status)}"
            headers = {_capital(name): value for name, value in (told | answer.headers).items() if not _OWN.match(name)}
            said = {"Response Status": status, "Response Body": (await answer.read()).decode(errors="replace")}
            troubles = [] if answer.ok else [(quoted(told["x-copied-from"]), status)]
            return reports.report(form, said | headers, troubles, "copy")

        pieces = heartbeats.beating(work, self._frequency)
        return Response(202, {"content-type": form}, pieces=pieces, ending=source.close)

    def _asking(self, request: Request, path: str) -> Request:
        """The request for what is to be copied."""
        headers = {name: value for name, value in request.headers.items() if name != "x-backend-storage-policy-index"}
        headers["x-newest"] = "true"
        query = dict(request.query)
        if query.get("multipart-manifest") == "get":
            query["format"] = "raw"
        asked = request.sub("GET", path, headers=headers, query=_query(query), source="SSC")
        asked.reserved = request.reserved
        return asked


def _with_copy(answer: Response) -> Response:
    """COPY among what may be done."""
    for name in ("allow", "access-control-allow-methods"):
        if answer.ok and name in answer.headers:
            answer.headers[name] += ", COPY"
    return answer


def _turn_round(request: Request) -> None:
    """Make a PUT to the destination of a COPY."""
    headers = request.headers
    if not headers.get("destination"):
        raise Precondition("Destination header required")
    version, account, container, name = request.parts
    target = account
    if "destination-account" in headers:
        target = _account(headers.pop("destination-account"))
        headers["x-copy-from-account"] = quoted(account)
    to_container, to_name = _path(request, "destination", "Destination")
    del headers["destination"]
    headers["x-copy-from"] = quoted(f"/{container}/{name}")
    request.method, request.path = "PUT", f"/{version}/{target}/{to_container}/{to_name}"
    request.body = Body.of(b"")


def _sink(request: Request, source: Response) -> Request:
    """The request that writes the copy."""
    headers: Headers = {}
    if request.is_true("x-fresh-metadata"):
        headers |= {name: value for name, value in source.headers.items() if name.startswith("x-object-sysmeta-")}
        headers |= request.headers
    else:
        apart = _KEPT_APART | _OF_ANSWERS
        headers |= {name: value for name, value in source.headers.items() if name not in apart}
        headers |= request.headers
    query = dict(request.query)
    if query.get("multipart-manifest") == "get":
        if "x-static-large-object" in source.headers:
            query["multipart-manifest"] = "put"
        if "x-object-manifest" in source.headers:
            del query["multipart-manifest"]
            headers["x-object-manifest"] = source.headers["x-object-manifest"]
    for name in ("version-id", "heartbeat"):
        query.pop(name, None)
    whole = source.status == 200 and "x-static-large-object" not in source.headers
    if whole and ("x-object-manifest" not in source.headers or request.query.get("multipart-manifest") == "get"):
        headers["etag"] = source.headers["etag"]
    else:
        headers = {name: value for name, value in headers.items() if not name.startswith(OVERRIDE)}
    for name in ("x-copy-from", "x-copy-from-account", "range"):
        headers.pop(name, None)
    if not request.headers.get("content-type"):
        headers["content-type"] = source.headers.get("content-type", "")
    for name in ("if-match", "if-modified-since", "if-unmodified-since"):
        headers.pop(name, None)  # what they say was on the source
    sink = request.sub("PUT", headers=headers, query=_query(query), source="SSC")
    sink.acl, sink.stamp, sink.reserved, sink.extra = request.acl, request.stamp, request.reserved, request.extra
    return sink


def _told(source: Response, sink: Request, account: str, path: str) -> Headers:
    """What the answer says on the copy."""
    found = {"x-copied-from-account": quoted(account), "x-copied-from": quoted(path)}
    if "last-modified" in source.headers:
        found["x-copied-from-last-modified"] = source.headers["last-modified"]
    if "x-object-version-id" in source.headers:
        found["x-copied-from-version-id"] = source.headers["x-object-version-id"]
    kept = ("x-object-meta-", "x-object-sysmeta-", "x-object-transient-sysmeta-")
    return found | {
        name: value for name, value in sink.headers.items() if name.startswith(kept) or name == "x-delete-at"
    }


def _path(request: Request, header: str, shown: str) -> tuple[str, str]:
    words = unquoted(request.headers[header])
    container, slash, name = words.removeprefix("/").partition("/")
    if not container or not slash or not name:
        raise Precondition(f"{shown} header must be of the form <container name>/<object name>")
    return container, name


def _account(words: str) -> str:
    account = unquoted(words)
    if not account:
        raise Precondition("Account name cannot be empty")
    if "/" in account:
        raise Precondition("Account name cannot contain slashes")
    return account


def _capital(name: str) -> str:
    return name.encode("latin-1").title().decode("latin-1")


def _query(query: dict[str, str]) -> str:
    return urlencode(query, encoding="latin-1")
