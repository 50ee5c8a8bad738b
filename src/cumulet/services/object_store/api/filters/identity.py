# SPDX-License-Identifier: Apache-2.0
"""Who asks, by the tokens of identity, and what their roles and the lists of containers allow."""

from __future__ import annotations

from cumulet.services.object_store.api import metadata, rights
from cumulet.services.object_store.api.message import NOTHING, Go, Request, Response
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import access
from cumulet.services.object_store.logic.access import UNKNOWN, Caller
from cumulet.services.object_store.types.indexes import Key

DOMAIN = "x-account-sysmeta-project-domain-id"


class _Asked(Exception):
    """The judgement depends on the domain of the account's project."""


class IdentityTokens:
    """A token that is not valid is as none: what is open to all is open to who comes with it."""

    info = NOTHING

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, request: Request, go: Go) -> Response:
        if request.authorize is not None:
            return await go(request)
        headers = request.headers
        token = headers.get("x-auth-token") or headers.get("x-storage-token")
        if token:
            caller = await self._site.identity.caller(token, headers.get("x-service-token", ""))
            if caller is not None and (
                caller.allowances is None or caller.may_ask(request.method, rights.named(request.path))
            ):
                request.caller = caller
        if request.caller is not None:
            request.reseller = self._site.rules.reseller_admin in request.caller.roles
            await self._note_domain(request, request.caller)
        request.authorize = self.judge
        answer = await go(request)
        if answer.status == 401:
            answer.headers.setdefault("www-authenticate", rights.challenge(request))
        return answer

    async def judge(self, request: Request) -> None:
        """Unauthorized or Forbidden where the caller may not."""
        deed = rights.deed(request)
        known: list[str | None] = []

        def domain() -> str | None:
            if not known:
                raise _Asked
            return known[0]

        try:
            request.owner = access.judge(self._site.rules, request.caller, deed, domain)
        except _Asked:
            known.append(await self._domain(deed.account))
            request.owner = access.judge(self._site.rules, request.caller, deed, domain)

    async def _domain(self, account: str) -> str | None:
        info = await self._site.engine.info(Key(account))
        return None if info is None or not info.exists else metadata.value(info, DOMAIN)

    async def _note_domain(self, request: Request, caller: Caller) -> None:
        """Have the account know the domain of its project, when it is made or where that was not known."""
        parts = request.parts
        if request.method not in ("PUT", "POST") or len(parts) > 3 or len(parts) < 2:
            return
        if len(parts) == 3 and parts[2] and request.method != "PUT":
            return
        account = rights.named(parts[1])
        own = any(account == f"{prefix}{caller.project_id}" for prefix in self._site.rules.prefixes)
        said, known = caller.project_domain if own else None, await self._domain(account)
        if known is None:
            request.headers[DOMAIN] = said if said is not None else UNKNOWN
        elif (not known and said == self._site.rules.default_domain) or (known == UNKNOWN and own):
            request.headers[DOMAIN] = said or ""
