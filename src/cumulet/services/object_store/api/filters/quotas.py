# SPDX-License-Identifier: Apache-2.0
"""How much may lie in a container, which its owner says, and in an account, which the operator says.

What came without a length counts when it is there: the object after it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from cumulet.kernel.errors import Forbidden, Invalid, TooLarge
from cumulet.services.object_store.api import metadata, version_homes
from cumulet.services.object_store.api.message import Go, Request, Response, wire
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import limits
from cumulet.services.object_store.types.indexes import Count, Info, Key

_KINDS = ("quota-bytes", "quota-count")
_LEGACY = ("x-account-meta-quota-bytes", "x-remove-account-meta-quota-bytes")


class ContainerQuotas:
    info: Mapping[str, Any] = {"container_quotas": {}}

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, request: Request, go: Go) -> Response:
        if request.method not in ("PUT", "POST"):
            return await go(request)
        what = _target(request)
        if what == "container":
            for kind, shown in zip(_KINDS, ("bytes", "count"), strict=True):
                said = request.headers.get(f"x-container-meta-{kind}")
                if said and not _is_number(said):
                    raise Invalid(f"Invalid {shown} quota.")
        elif what == "object" and request.method == "PUT":
            await self._check(request)
        return await go(request)

    async def _check(self, request: Request) -> None:
        """TooLarge where the container is full, for those who may write to it."""
        account, container, _ = request.names
        info = await self._site.engine.info(Key(account, container))
        if info is None or not info.exists:
            return
        said = [metadata.value(info, f"x-container-meta-{kind}") for kind in _KINDS]
        if any(said):
            info = await self._site.engine.info(info.key, newest=True) or info
        total = info.total
        if said[0] and (versions := await version_homes.of(self._site.engine, info)) is not None:
            total = total._replace(bytes=total.bytes + versions.total.bytes)
        if _is_over(said, total, request):
            if request.authorize is not None:
                request.acl = metadata.value(info, "x-container-write")
                await request.authorize(request)
            raise TooLarge("Upload exceeds quota.")


class AccountQuotas:
    """Only resellers' administrators set them, and they do not hold for these."""

    info: Mapping[str, Any] = {"account_quotas": {}}

    def __init__(self, site: Site) -> None:
        self._site = site
        self._endings = {
            f"{kind}{ending}": f"{kind}{shown}"
            for kind in _KINDS
            for ending, shown in [
                ("", ""),
                *((f"-policy-{each.number}", f"-policy-{wire(each.name).lower()}") for each in site.engine.policies),
            ]
        }
        self._kept = tuple(f"x-account-sysmeta-{each}" for each in self._endings)

    async def __call__(self, request: Request, go: Go) -> Response:
        if request.method != "PUT" and len(request.parts) > 3:
            return await go(request)
        what = _target(request)
        if what == "account":
            if request.method in ("PUT", "POST"):
                self._translate(request)
            answer = await go(request)
            for ending, shown in self._endings.items():
                if value := answer.headers.get(f"x-account-sysmeta-{ending}"):
                    answer.headers[f"x-account-{shown}"] = value
            return answer
        if what == "object" and request.method == "PUT" and not request.reseller:
            words = await self._refusal(request)
            if words:
                return await _refused(request, go, words)
        return await go(request)

    def _translate(self, request: Request) -> None:
        """Keep as the store's own what only some may set. Forbidden, Invalid."""
        headers = request.headers
        for name in _LEGACY:
            if name in headers:
                headers.setdefault(name.replace("-meta-", "-"), headers[name])
        found = {}
        for ending, shown in self._endings.items():
            value = headers.pop(f"x-account-{shown}", None)
            if headers.get(f"x-remove-account-{shown}"):
                value = ""
            if value is not None:
                found[f"x-account-sysmeta-{ending}"] = value
        if found and not request.reseller:
            raise Forbidden("")
        if any(value and not _is_number(value) for value in found.values()):
            raise Invalid("")
        headers |= found

    async def _refusal(self, request: Request) -> str:
        """What is told where the account has no room for the object, "" where it has."""
        account, container, _ = request.names
        info = await self._site.engine.info(Key(account))
        if info is None or not info.exists:
            return ""
        if not any(metadata.value(info, each) for each in (_LEGACY[0], *self._kept)):
            return ""
        info = await self._site.engine.info(info.key, newest=True) or info
        said = list(_said(info, ""))
        said[0] = said[0] or metadata.value(info, _LEGACY[0])
        if _is_over(said, info.total, request):
            return "Upload exceeds quota."
        place = await self._site.engine.info(Key(account, container))
        if place is None or not place.exists:
            return ""
        said = list(_said(info, f"-policy-{place.policy}"))
        over = _is_over(said, info.counts.get(place.policy, Count()), request)
        return "Upload exceeds policy quota." if over else ""


async def _refused(request: Request, go: Go, words: str) -> Response:
    """Who may not write is told that: what the container says may still allow it, and is known later."""
    judge = request.authorize
    if judge is None:
        raise TooLarge(words)

    async def refuse(asked: Request) -> None:
        await judge(asked)
        raise TooLarge(words)

    request.authorize = refuse
    return await go(request)


def _said(info: Info, ending: str) -> Iterator[str]:
    for kind in _KINDS:
        yield metadata.value(info, f"x-account-sysmeta-{kind}{ending}")


def _is_over(said: list[str], count: Count, request: Request) -> bool:
    """Whether one more object is too much for what is said of bytes and of objects."""
    size, objects = said
    if _is_number(size) and int(size) < count.bytes + (request.body.size or 0):
        return True
    return _is_number(objects) and int(objects) < count.objects + 1


def _is_number(said: str) -> bool:
    return said.isascii() and said.isdigit() and len(said) < 4000


def _target(request: Request) -> str:
    """What the path names; "" for nothing, or for no name."""
    parts = request.parts
    count = len(parts)
    while count and not parts[count - 1]:
        count -= 1
    if count < 2 or not all(parts[:count]) or not limits.is_utf8(request.path):
        return ""
    return ("account", "container", "object")[count - 2]
