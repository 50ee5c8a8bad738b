# SPDX-License-Identifier: Apache-2.0
"""The keys by which owners of accounts and containers sign temporary URLs and forms."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from cumulet.kernel.errors import Unauthorized
from cumulet.services.object_store.api import metadata
from cumulet.services.object_store.api.message import Request, text
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import temp_urls
from cumulet.services.object_store.logic.temp_urls import Scope
from cumulet.services.object_store.types.indexes import Key


async def of(site: Site, account: str, container: str) -> list[tuple[Scope, str]]:
    """Those of the account first; none for names that are too long to be there."""
    found: list[tuple[Scope, str]] = []
    places: tuple[tuple[Scope, Key], ...] = (("account", Key(account)), ("container", Key(account, container)))
    for scope, key in places:
        info = await site.engine.info(key)
        values = [metadata.value(info, f"x-{scope}-meta-{each}") for each in temp_urls.KEYS]
        found += [(scope, text(each)) for each in values if each]
    return found


def within(account: str, container: str = "") -> Callable[[Request], Awaitable[None]]:
    """Lets requests do anything with what lies in the account, or in one of its containers."""
    wanted = [account, container] if container else [account]

    async def judge(request: Request) -> None:
        try:
            inside = bool(request.names[1]) and list(request.names[: len(wanted)]) == wanted
        except UnicodeError:
            inside = False
        if not inside:
            raise Unauthorized("")

    return judge


async def anything(request: Request) -> None:
    """Lets a request do all that can be done."""
