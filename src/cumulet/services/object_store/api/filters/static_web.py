# SPDX-License-Identifier: Apache-2.0
"""Containers that are web sites for those who come without a token: an index, lists, pages for errors."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from cumulet.kernel.errors import CumuletError
from cumulet.services.object_store.api import answers, metadata
from cumulet.services.object_store.api.filters.tempurl import GENERATOR, SIGNED
from cumulet.services.object_store.api.message import TRUE, Go, Request, Response, quoted, text, wire
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import limits, web_pages
from cumulet.services.object_store.logic.web_pages import Links, Style
from cumulet.services.object_store.types.indexes import Info, Key

_MARKER = "application/directory"


class StaticWeb:
    """`url_base` of the settings is where browsers are sent that forgot the last slash."""

    info: Mapping[str, Any] = {"staticweb": {}}

    def __init__(self, site: Site) -> None:
        base = urlsplit(site.options.of("staticweb").get("url_base", ""))
        self.site = site
        self.scheme, self.host = base.scheme, base.netloc

    async def __call__(self, request: Request, go: Go) -> Response:
        if request.method not in ("GET", "HEAD") or request.authorize is None:
            return await go(request)
        if request.caller is not None and not request.is_true("x-web-mode"):
            return await go(request)
        parts = request.parts
        if len(parts) < 3 or not all(parts[:3]) or not limits.is_text(request.path):
            return await go(request)
        account, container, _ = request.names
        info = await self.site.engine.info(Key(account, container))
        web = _Web(self, request, go, info)
        return await (web.object() if parts[3:] and parts[3] else web.container())


class _Web:
    """One request for a page."""

    def __init__(self, filter_: StaticWeb, request: Request, go: Go, info: Info | None) -> None:
        self._filter, self._request, self._go = filter_, request, go
        self._path = request.path
        self._root = "/" + "/".join(request.parts[:3])
        self._headers, self._query = dict(request.headers), request.query_string
        self._read = metadata.value(info, "x-container-read")

        def said(name: str) -> str:
            value = metadata.value(info, f"x-container-meta-web-{name}").strip()
            return value.encode("latin-1").decode(errors="replace")

        self._index, self._error, self._lists = said("index"), said("error"), said("listings")
        self._style = Style(said("listings-css"), said("listings-label"))
        self._marker = said("directory-type") or _MARKER

    async def container(self) -> Response:
        request = self._request
        request.acl = self._read
        try:
            if request.authorize is not None:
                await request.authorize(request)
        except CumuletError as error:
            return await self._refused(answers.of(error))
        if not self._lists and not self._index:
            return answers.refusal(404) if request.is_true("x-web-mode") else await self._go(request)
        if not self._path.endswith("/"):
            return self._with_slash()
        if not self._index:
            return await self._listing("")
        answer = await self._same(self._path + wire(self._index))
        if answer.status == 404:
            await answer.close()
            return await self._listing("")
        return answer if answer.status < 400 else await self._refused(answer)

    async def object(self) -> Response:
        answer = await self._go(self._request)
        if answer.status < 400 and not self._is_marker(answer):
            return answer
        if answer.status not in (200, 404) or (not self._lists and not self._index):
            return answer
        await answer.close()
        if self._index:
            page = await self._same(f"{self._path.removesuffix('/')}/{wire(self._index)}")
            if page.status < 400:
                if self._path.endswith("/"):
                    return page
                await page.close()
                return self._with_slash()
            if page.status != 404:
                return page
            await page.close()
        prefix = self._path[len(self._root) + 1 :]
        if self._path.endswith("/"):
            return await self._listing(prefix)
        found = await self._entries(f"{prefix}/", "1")
        if isinstance(found, Response):
            await found.close()
        elif found:
            return self._with_slash()
        return await self._refused(answers.refusal(404))

    def _is_marker(self, answer: Response) -> bool:
        """Whether it stands for a folder."""
        size = answer.length if answer.length is not None else len(answer.body)
        return answer.headers.get("content-type") == wire(self._marker) and size <= 1

    async def _listing(self, prefix: str) -> Response:
        path, below = text(self._path), text(prefix)
        if self._lists.lower() not in TRUE:
            page = web_pages.disabled(self._style, path, below, self._index)
            return await self._refused(Response(404, {"content-type": answers.HTML}, page.encode()))
        found = await self._entries(prefix)
        if isinstance(found, Response):
            return await self._refused(found)
        if prefix and not found:
            return await self._refused(answers.refusal(404))
        page = web_pages.listing(self._style, path, below, found, self._links())
        return Response(200, {"content-type": answers.HTML, GENERATOR: "staticweb"}, page.encode())

    async def _entries(self, prefix: str, limit: str = "") -> list[dict[str, Any]] | Response:
        """Of a listing; the answer where that is refused."""
        query = {"format": "json", "delimiter": "/"}
        if prefix:
            query["prefix"] = prefix
        if limit:
            query["limit"] = limit
        asked = self._request.sub("GET", self._root, query=urlencode(query, encoding="latin-1"), source="SW")
        answer = await self._go(asked)
        if not answer.ok:
            return answer
        found: list[dict[str, Any]] = orjson.loads(await answer.read() or b"[]")
        return found

    async def _refused(self, answer: Response) -> Response:
        """The answer with the page that the owner has for it."""
        if not self._error or answer.status < 400:
            return answer
        path = f"{self._root}/{answer.status}{wire(self._error)}"
        page = await self._go(self._request.sub("GET", path, source="SW"))
        if not page.ok:
            await page.close()
            return answer
        await answer.close()
        page.status = answer.status
        return page

    async def _same(self, path: str) -> Response:
        """What the request gets on another path."""
        asked = self._request.sub(
            self._request.method, path, headers=dict(self._headers), query=self._query, source="SW"
        )
        return await self._go(asked)

    def _links(self) -> Links:
        url = self._request.extra.get(SIGNED)
        if url is None or url.prefix is None:
            return Links()
        expires = self._request.query.get("temp_url_expires", "")
        words = [
            f"temp_url_prefix={quote(url.prefix)}",
            f"temp_url_expires={quote(expires)}",
            f"temp_url_sig={url.signature}",
        ]
        if url.addresses:
            words.append(f"temp_url_ip_range={quote(url.addresses)}")
        if url.inline:
            words.append("inline")
        return Links(escape("?" + "&".join(words)), url.prefix)

    def _with_slash(self) -> Response:
        scheme = self._filter.scheme or self._request.scheme
        host = self._filter.host or self._headers.get("host", "")
        where = f"{scheme}://{host}{quoted(self._path)}/"
        return Response(
            301, {"location": where, "content-type": answers.HTML}, b"<html><h1>Moved Permanently</h1></html>"
        )
