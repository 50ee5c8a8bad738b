# SPDX-License-Identifier: Apache-2.0
"""Temporary URLs: whoever has one may do with an object what its owner has signed."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, urlencode

from cumulet.kernel import clock
from cumulet.services.object_store.api import url_keys
from cumulet.services.object_store.api.message import Go, Headers, Request, Response, text, wire
from cumulet.services.object_store.api.site import Site, words
from cumulet.services.object_store.logic import temp_urls
from cumulet.services.object_store.logic.temp_urls import TempUrl

GENERATOR = "x-backend-content-generator"  # what made an answer that is no object


SIGNED = "tempurl.signed"  # what `Request.extra` has of the URL
_LAST = 253_402_300_799  # the last second that a date of HTTP can tell


class TempUrls:
    """Settings are Swift's: `methods`, `allowed_digests` and what headers are taken off on either way."""

    def __init__(self, site: Site) -> None:
        options = site.options.of("tempurl")
        self._site = site
        self._methods = words(options.get("methods", temp_urls.METHODS))
        self._digests = words(options.get("allowed_digests", temp_urls.DIGESTS))
        self._off_in = Names(options.get("incoming_remove_headers", ("x-timestamp", "x-open-expired")))
        self._on_in = Names(options.get("incoming_allow_headers", ()))
        self._off_out = Names(options.get("outgoing_remove_headers", ("x-object-meta-*",)))
        self._on_out = Names(options.get("outgoing_allow_headers", ("x-object-meta-public-*",)))
        told: dict[str, Any] = {
            "methods": list(self._methods),
            "incoming_remove_headers": self._off_in.said,
            "incoming_allow_headers": self._on_in.said,
            "outgoing_remove_headers": self._off_out.said,
            "outgoing_allow_headers": self._on_out.said,
            "allowed_digests": sorted(self._digests),
        }
        if "sha1" in self._digests:
            told["deprecated_digests"] = ["sha1"]
        self.info = {"tempurl": told}

    async def __call__(self, request: Request, go: Go) -> Response:
        if not request.query_string or request.method == "OPTIONS":
            return await go(request)
        # Of a parameter that is there more than once Swift takes the first here, and only here.
        query = dict(reversed(parse_qsl(request.query_string, keep_blank_values=True)))
        url = temp_urls.parse(query, clock.now(), self._digests)
        if url is None:
            return await go(request)
        await self._admit(request, url, query)
        answer = await go(request)
        for name in [each for each in answer.headers if each in self._off_out and each not in self._on_out]:
            del answer.headers[name]
        if answer.ok and request.method in ("GET", "HEAD"):
            return await _shown(request, answer, url)
        return answer

    async def _admit(self, request: Request, url: TempUrl, query: dict[str, str]) -> None:
        """Unauthorized where the URL does not let the request do what it asks for."""
        account, container, name = _names(request)
        if request.method not in self._methods or request.parts[0] != "v1":
            raise temp_urls.invalid()
        keys = await url_keys.of(self._site, account, container)
        scope = temp_urls.judge(url, request.method, (account, container, name), request.client, keys)
        temp_urls.check_headers(request.method, request.headers)
        headers = request.headers
        for each in [each for each in headers if each in self._off_in and each not in self._on_in]:
            del headers[each]
        request.authorize = url_keys.within(account, container if scope == "container" else "")
        request.extra[SIGNED] = url
        kept = {"temp_url_sig": url.signature, "temp_url_expires": query["temp_url_expires"]}
        if url.prefix is not None:
            kept["temp_url_prefix"] = url.prefix
        if url.filename:
            kept["filename"] = url.filename
        if url.inline:
            kept["inline"] = ""
        request.ask(urlencode(kept))


class Names:
    """Names of headers, some of them by their beginning (`x-*`)."""

    def __init__(self, said: str | Iterable[str]) -> None:
        self.said = [each.lower() for each in words(said)]
        self._whole = frozenset(self.said)
        self._begun = tuple(each[:-1] for each in self.said if each.endswith("*"))

    def __contains__(self, name: str) -> bool:
        return name in self._whole or name.startswith(self._begun)


async def _shown(request: Request, answer: Response, url: TempUrl) -> Response:
    """The answer with what a browser is to do with it."""
    headers: Headers = answer.headers
    name = "".join(request.parts[3:])
    if headers.get(GENERATOR) == "staticweb":
        headers["content-disposition"] = temp_urls.inline(url)
    elif not name:
        await answer.close()
        raise temp_urls.invalid()
    else:
        kept = headers.get("content-disposition", "")
        headers["content-disposition"] = wire(temp_urls.disposition(url, text(request.path), _text(kept)))
    headers["expires"] = formatdate(min(url.expires, _LAST), usegmt=True)
    return answer


def _names(request: Request) -> tuple[str, str, str]:
    try:
        return request.names
    except (UnicodeError, ValueError):
        raise temp_urls.invalid() from None


def _text(value: str) -> str:
    return value.encode("latin-1").decode(errors="replace")
