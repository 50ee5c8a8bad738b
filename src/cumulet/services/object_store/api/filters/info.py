# SPDX-License-Identifier: Apache-2.0
"""What the store can do: `/info`, made from what filters tell of themselves."""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import orjson

from cumulet.kernel import clock
from cumulet.services.object_store.api import answers
from cumulet.services.object_store.api.message import NOTHING, Go, Request, Response
from cumulet.services.object_store.api.site import Site

VERSION = "2.38.3"  # of Swift, whose API this is


class ServerInfo:
    """What is for administrators is told to who signs the request with `admin_key`, as for a temporary URL."""

    info = NOTHING

    def __init__(self, site: Site) -> None:
        options = site.options.of("info")
        self._site = site
        self._shown = bool(options.get("expose_info", True))
        self._key: str = options.get("admin_key", "")
        self._hidden = tuple(options.get("disallowed_sections", ("swift.valid_api_versions",)))
        self._parts: dict[str, Any] = {}

    def tell(self, parts: Iterable[Mapping[str, Any]]) -> None:
        for each in parts:
            self._parts |= each

    async def __call__(self, request: Request, go: Go) -> Response:
        if request.path != "/info":
            return await go(request)
        if request.method not in ("GET", "HEAD", "OPTIONS"):
            return answers.refusal(405, headers={"allow": "GET, HEAD, OPTIONS"})
        if request.method == "OPTIONS":
            return Response(200, {"allow": "GET, HEAD, OPTIONS"})
        if not self._shown:
            return answers.refusal(403)
        signature, expires = request.query.get("swiftinfo_sig"), request.query.get("swiftinfo_expires")
        admin = signature is not None or expires is not None
        if admin and not self._is_signed(request.method, signature or "", expires or ""):
            return answers.refusal(401)
        found = self._core() | self._parts
        if not admin:
            found = without(found, self._hidden)
        else:
            found["admin"] = {"disallowed_sections": list(self._hidden)}
        return Response(200, {"content-type": "application/json; charset=UTF-8"}, orjson.dumps(found))

    def _core(self) -> dict[str, Any]:
        site = self._site
        swift = {
            "version": VERSION,
            "strict_cors_mode": site.options.strict_cors_mode,
            "policies": [_policy(each) for each in site.engine.policies if not each.deprecated],
            "allow_account_management": site.options.allow_account_management,
            "account_autocreate": site.options.account_autocreate,
            "allow_open_expired": site.options.allow_open_expired,
            **msgspec.structs.asdict(site.limits),
        }
        return {"swift": swift}

    def _is_signed(self, method: str, signature: str, expires: str) -> bool:
        if not self._key or not expires.isascii() or not expires.isdigit() or int(expires) < clock.now():
            return False
        words = "\n".join((method, expires, "/info"))
        wanted = hmac.new(self._key.encode(), words.encode(), "sha256").hexdigest()
        older = hmac.new(self._key.encode(), words.encode(), "sha1").hexdigest()
        return any(hmac.compare_digest(each.encode(), signature.encode()) for each in (wanted, older))


def _policy(each: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"name": each.name, "aliases": ", ".join((each.name, *each.aliases))}
    return found | {"default": True} if each.default else found


def without(found: dict[str, Any], hidden: Iterable[str]) -> dict[str, Any]:
    """A copy without the sections, or the keys of sections (`section.key`), that are not for all."""
    kept = {name: dict(part) if isinstance(part, dict) else part for name, part in found.items()}
    for each in hidden:
        place = kept
        *way, last = each.split(".")
        for word in way:
            place = place.get(word, {})
        if isinstance(place, dict):
            place.pop(last, None)
    return kept
