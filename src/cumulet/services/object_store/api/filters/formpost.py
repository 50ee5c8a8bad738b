# SPDX-License-Identifier: Apache-2.0
"""Uploads by forms of web pages that the owner of an account or a container has signed."""

from __future__ import annotations

import hmac
from collections.abc import AsyncIterator
from html import escape
from typing import Any
from urllib.parse import quote

from cumulet.kernel import clock
from cumulet.kernel.errors import TooLarge, Unauthorized
from cumulet.services.object_store.api import answers, url_keys
from cumulet.services.object_store.api.forms import Form, Malformed, Part, disposition
from cumulet.services.object_store.api.message import Body, Go, Headers, Request, Response, text, wire
from cumulet.services.object_store.api.site import Site, words
from cumulet.services.object_store.logic import temp_urls

VALUE = 4096  # bytes of a field that count
FIELDS = 1000

_PLAIN = "text/plain"


class Wrong(Exception):
    """What the form says is no form of ours."""


class FormPost:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._digests = words(site.options.of("formpost").get("allowed_digests", temp_urls.DIGESTS))
        told: dict[str, Any] = {"allowed_digests": sorted(self._digests)}
        if "sha1" in self._digests:
            told["deprecated_digests"] = ["sha1"]
        self.info = {"formpost": told}

    async def __call__(self, request: Request, go: Go) -> Response:
        if request.method != "POST":
            return await go(request)
        kind, attributes = disposition(request.headers.get("content-type", ""))
        if kind != "multipart/form-data" or "boundary" not in attributes:
            return await go(request)
        try:
            return await _Upload(self, self._site, request, go).run(Form(request.body, attributes["boundary"]))
        except (Malformed, Wrong) as why:
            return Response(400, {"content-type": _PLAIN}, f"FormPost: {why}".encode())

    def judge(self, request: Request, fields: dict[str, str], keys: list[str]) -> None:
        """Unauthorized for a form that nobody has signed, or that is over."""
        if not keys:
            raise _refused("invalid signature")
        if _number(fields, "expires", "expired not an integer") < clock.now():
            raise _refused("form expired")
        try:
            digest, signature = temp_urls.signature(fields.get("signature", ""))
        except Unauthorized:
            raise _refused("invalid signature") from None
        if digest not in self._digests:
            raise _refused("invalid signature")
        lines = (
            text(request.path),
            fields.get("redirect", ""),
            fields.get("max_file_size") or "0",
            fields.get("max_file_count") or "0",
            fields.get("expires") or "0",
        )
        signed = "\n".join(lines).encode()
        if not any(hmac.compare_digest(hmac.new(key.encode(), signed, digest).hexdigest(), signature) for key in keys):
            raise _refused("invalid signature")


class _Upload:
    """One form: fields, and behind them the files that they are said of."""

    def __init__(self, filter_: FormPost, site: Site, request: Request, go: Go) -> None:
        self._filter, self._site, self._request, self._go = filter_, site, request, go
        self._fields: dict[str, str] = {}
        self._files = 0

    async def run(self, form: Form) -> Response:
        keys = await self._keys()
        answer, message = None, ""
        while (part := await form.part()) is not None:
            if part.disposition != "form-data" or not part.attributes.get("filename"):
                await self._field(form, part)
                continue
            self._files += 1
            if self._files > _number(self._fields, "max_file_count"):
                answer, message = Response(400), "max file count exceeded"
                break
            answer = await self._file(form, part, keys)
            if not answer.ok:
                break
        if answer is None:
            answer, message = Response(400), "no files to process"
        return self._told(answer, message)

    async def _keys(self) -> list[str]:
        parts = self._request.parts
        if len(parts) < 3 or parts[0] not in self._site.limits.valid_api_versions or not all(parts[1:3]):
            return []
        try:
            account, container, _ = self._request.names
        except UnicodeError:
            return []
        return [key for _, key in await url_keys.of(self._site, account, container)]

    async def _field(self, form: Form, part: Part) -> None:
        if len(self._fields) >= FIELDS:
            raise Wrong("too many fields")
        value = b""
        while data := await form.data():
            value += data[: VALUE - len(value)]
        try:
            words_ = value.decode()
        except UnicodeError:
            raise Wrong("a field is not UTF-8") from None
        if "name" in part.attributes:
            self._fields[part.attributes["name"].lower()] = words_.rstrip("\r\n-")

    async def _file(self, form: Form, part: Part, keys: list[str]) -> Response:
        most = _number(self._fields, "max_file_size")
        headers = self._headers(part)
        self._filter.judge(self._request, self._fields, keys)
        path = self._request.path
        if not path.endswith("/") and path.count("/") < 4:
            path += "/"
        too_large = False

        async def pieces() -> AsyncIterator[bytes]:
            nonlocal too_large
            size = 0
            while data := await form.data():
                size += len(data)
                if size > most:
                    too_large = True
                    raise TooLarge("max_file_size exceeded")
                yield data

        body = Body(pieces(), None)
        upload = self._request.sub(
            "PUT", path + wire(part.attributes["filename"]), headers=headers, body=body, source="FP"
        )
        upload.authorize, upload.caller = url_keys.anything, None
        answer = await self._go(upload)
        if too_large:
            raise Wrong("max_file_size exceeded")
        return Response(answer.status, answer.headers, await answer.read())

    def _headers(self, part: Part) -> Headers:
        found: Headers = {"transfer-encoding": "chunked"}
        fields = self._fields
        if origin := self._request.headers.get("origin"):
            found["origin"] = origin
        for name, unit in (("x_delete_at", "Unix timestamp"), ("x_delete_after", "Number of seconds")):
            if name in fields:
                number = _number(fields, name, f"{name} not an integer: {unit} required.")
                found[name.replace("_", "-")] = str(number)
        for name in ("content-type", "content-encoding"):
            said = fields.get(name, part.headers.get(name))
            if said is not None:
                found[name] = wire(said or ("application/octet-stream" if name == "content-type" else ""))
                if not found[name].isprintable():
                    raise Wrong(f"{name} is no header")
        return found

    def _told(self, answer: Response, message: str) -> Response:
        headers = {name: value for name, value in answer.headers.items() if name.startswith("access-control")}
        redirect = self._fields.get("redirect")
        if not redirect:
            status = f"{answer.status} {answers.reason(answer.status)}"
            words_ = f"{status}\r\nFormPost: {message.title()}" if message else status
            body = answer.body if not answer.ok and answer.body else words_.encode()
            return Response(answer.status, headers | {"content-type": _PLAIN}, body)
        redirect += "&" if "?" in redirect else "?"
        redirect += f"status={answer.status}&message={quote(message)}"
        if any(ord(each) < 32 for each in redirect):
            raise Wrong("redirect is no URL")
        page = f'<html><body><p><a href="{escape(redirect)}">Click to continue...</a></p></body></html>'
        headers |= {"location": wire(redirect), "content-type": answers.HTML}
        return Response(303, headers, page.encode())


def _number(fields: dict[str, str], name: str, words_: str = "") -> int:
    try:
        return int(fields.get(name) or 0)
    except ValueError:
        raise Wrong(words_ or f"{name} not an integer") from None


def _refused(why: str) -> Unauthorized:
    return Unauthorized(f"FormPost: {why}".title().replace("Formpost", "FormPost"))
