# SPDX-License-Identifier: Apache-2.0
"""When a request may do what it asks for: some may only by what the container says, which is known later."""

from __future__ import annotations

from functools import lru_cache

from cumulet.kernel.errors import Unauthorized
from cumulet.services.object_store.api.message import Request, quoted, text
from cumulet.services.object_store.logic import acls
from cumulet.services.object_store.logic.access import Deed

_parse = lru_cache(4096)(acls.parse)


async def allow(request: Request, acl: str = "") -> None:
    """Unauthorized or Forbidden where the caller may not; `acl` is the container's for this method.

    A request that nobody judges may do all; one that was judged is not judged again.
    """
    if request.authorize is not None:
        request.acl = acl
        await request.authorize(request)


def deed(request: Request) -> Deed:
    """What the request asks for; Unauthorized where its path, or the list that is meant, is no text."""
    parts = [*request.parts, "", "", ""]
    return Deed(
        method=request.method,
        account=named(parts[1]),
        container=named(parts[2]),
        object=named(parts[3]),
        acl=_parse(named(request.acl or "")),
        referrer=request.headers.get("referer", ""),
    )


def named(words: str) -> str:
    """A part of a path as text; Unauthorized for what is none."""
    try:
        return text(words)
    except UnicodeError:
        raise Unauthorized("") from None


def challenge(request: Request) -> str:
    """Of an answer 401: which account wants to know who asks."""
    account = request.parts[1] if len(request.parts) > 1 else ""
    return f'Swift realm="{quoted(account) or "unknown"}"'
