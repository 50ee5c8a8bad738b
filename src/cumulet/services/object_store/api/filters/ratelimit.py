# SPDX-License-Identifier: Apache-2.0
"""How often containers are made, objects written and listings read: too many requests wait, or are told to slow down.

Each host counts for itself, its workers together.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

from cumulet.services.object_store.api import answers, metadata
from cumulet.services.object_store.api.message import Go, Request, Response
from cumulet.services.object_store.api.site import Site, words
from cumulet.services.object_store.logic import rates
from cumulet.services.object_store.types.indexes import Key

LOG = logging.getLogger("cumulet.objects")

SAID = "x-account-sysmeta-global-write-ratelimit"
_WRITES = ("PUT", "DELETE", "POST", "COPY")


class RateLimit:
    """Settings are Swift's. An account's own word, which the operator gives it, comes before them: a rate, or
    WHITELIST, or BLACKLIST."""

    def __init__(self, site: Site) -> None:
        options = site.options.of("ratelimit")
        self._site = site
        self._accounts = float(options.get("account_ratelimit", 0))
        self._objects = rates.steps(options, "container_ratelimit_")
        self._listings = rates.steps(options, "container_listing_ratelimit_")
        self._free = words(options.get("account_whitelist", ()))
        self._barred = words(options.get("account_blacklist", ()))
        longest = float(options.get("max_sleep_time_seconds", 60))
        self._waiting = rates.Waiting(longest, float(options.get("rate_buffer_seconds", 5)))
        self._pause = 1.0
        self.info = {
            "ratelimit": {
                "account_ratelimit": self._accounts,
                "max_sleep_time_seconds": longest,
                "container_ratelimits": [list(each) for each in self._objects],
                "container_listing_ratelimits": [list(each) for each in self._listings],
            }
        }

    async def __call__(self, request: Request, go: Go) -> Response:
        parts = request.parts
        if len(parts) < 2 or parts[0] not in self._site.limits.valid_api_versions or not parts[1]:
            return await go(request)
        try:
            account, container, _ = request.names
        except UnicodeError:
            return await go(request)
        said = metadata.value(await self._site.engine.info(Key(account)), SAID)
        if account in self._free or said == "WHITELIST":
            return await go(request)
        if account in self._barred or said == "BLACKLIST":
            await asyncio.sleep(self._pause)
            return Response(497, {"content-type": answers.HTML}, b"Your account has been blacklisted")
        async for key, most in self._limits(request, account, container, said):
            wait = await self._site.rates.take(self._waiting, key, most)
            if wait is None:
                LOG.warning("%s %s comes too often", request.method, request.path)
                return Response(498, {"content-type": answers.HTML}, b"Slow down")
            if wait:
                await asyncio.sleep(wait)
        return await go(request)

    async def _limits(
        self, request: Request, account: str, container: str, said: str
    ) -> AsyncIterator[tuple[str, float]]:
        """What the request counts for, and how often that may be done in a second."""
        method, an_object = request.method, bool("".join(request.parts[3:]))
        if container and not an_object and self._accounts and method in ("PUT", "DELETE"):
            yield account, self._accounts
        known: tuple[str, rates.Steps] | None = None
        if container and an_object and method in _WRITES:
            known = f"{account}/{container}", self._objects
        elif container and not an_object and method == "GET":
            known = f"listing {account}/{container}", self._listings
        if known is not None and known[1]:
            info = await self._site.engine.info(Key(account, container))
            most = rates.rate(known[1], info.total.objects if info is not None else 0)
            if most:
                yield known[0], most
        if method in _WRITES and (all_writes := _number(said)) > 0:
            yield f"writes {account}", all_writes


def _number(said: str) -> float:
    try:
        return float(said or 0)
    except ValueError:
        return 0
