# SPDX-License-Identifier: Apache-2.0
"""Users of the settings beside those of identity: log-ins, and what their groups and the lists of accounts allow."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from cumulet.kernel.errors import Forbidden, Invalid, Unauthorized
from cumulet.services.object_store.api import accounts, answers, metadata, rights
from cumulet.services.object_store.api.message import NOTHING, Go, Request, Response, text
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import acls, temp_auth
from cumulet.services.object_store.logic.access import Caller
from cumulet.services.object_store.logic.temp_auth import RESELLER_ADMIN
from cumulet.services.object_store.logic.temp_tokens import TempAuth
from cumulet.services.object_store.types.indexes import Key

HEADER = "x-account-access-control"


class TempTokens:
    """Judges who comes with a token of its own, and who comes with none to an account with one of its prefixes."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._auth = site.temp_auth if site.temp_auth is not None and site.temp_auth.is_used else None

    @property
    def info(self) -> Mapping[str, Any]:
        return {"tempauth": {"account_acls": True}} if self._auth is not None else NOTHING

    async def __call__(self, request: Request, go: Go) -> Response:
        auth, headers = self._auth, request.headers
        if auth is None or request.authorize is not None:
            return await go(request)
        if auth.is_log_in(request.path):
            return _log_in(auth, request)
        token = headers.get("x-auth-token", headers.get("x-storage-token", ""))
        groups = auth.groups(token, headers.get("x-service-token", "")) if token else None
        if groups is not None:
            request.caller = Caller(user_id=groups[1], user_name=groups[1], project_id="", project_name=groups[0])
            request.reseller = RESELLER_ADMIN in groups
        elif auth.issued(token):
            return answers.refusal(401, headers={"www-authenticate": rights.challenge(request)})
        elif token or auth.rules.prefix_of(_account(request)) is None:
            return await go(request)
        request.authorize = partial(self.judge, groups)
        answer = await go(request)
        if answer.status == 401:
            answer.headers.setdefault("www-authenticate", rights.challenge(request))
        return answer

    async def judge(self, groups: tuple[str, ...] | None, request: Request) -> None:
        """Unauthorized or Forbidden where the caller may not, Invalid for a list of the account that is none."""
        deed = rights.deed(request)
        if self._auth is None:
            return
        _take_list(request)
        try:
            request.owner = temp_auth.judge(self._auth.rules, groups, deed)
        except (Unauthorized, Forbidden):
            info = await self._site.engine.info(Key(deed.account))
            kept = "" if info is None or not info.exists else metadata.value(info, accounts.ACL)
            request.owner = temp_auth.judge(self._auth.rules, groups, deed, kept)


def _log_in(auth: TempAuth, request: Request) -> Response:
    scheme, host = request.scheme, request.headers.get("host", "")
    try:
        words = {name: text(value) for name, value in request.headers.items() if name.startswith("x-")}
        said = auth.log_in(request.method, text(request.path), words, f"{scheme}://{host}")
    except UnicodeError:
        return answers.refusal(400)
    headers = {name.lower(): value.encode().decode("latin-1") for name, value in said.headers.items()}
    if said.status == 200:
        return Response(200, {"content-type": answers.HTML, **headers})
    return answers.refusal(said.status, headers=headers)


def _account(request: Request) -> str:
    return request.parts[1] if len(request.parts) > 1 else ""


def _take_list(request: Request) -> None:
    """Keep the list of the account's that comes with a request under the name that it has in the store."""
    said = request.headers.pop(HEADER, None)
    if said is None:
        return
    try:
        acl = acls.parse_account(text(said))
    except UnicodeError:
        raise Invalid(f"{HEADER} is not in UTF-8") from None
    request.headers[accounts.ACL] = acls.written(acl) if said else ""
