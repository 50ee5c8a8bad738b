# SPDX-License-Identifier: Apache-2.0
"""Whom an access key stands for: somebody of identity, or a user of the settings (TempAuth)."""

from __future__ import annotations

from functools import partial

import msgspec

from cumulet.services.object_store.api.filters.temp_auth import TempTokens
from cumulet.services.object_store.api.message import Authorize
from cumulet.services.object_store.api.site import Site
from cumulet.services.object_store.logic import temp_auth
from cumulet.services.object_store.logic.access import Caller


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is what S3 calls the caller, whose buckets are in `account`. Without `authorize` roles decide."""

    caller: Caller
    secret: str
    name: str
    account: str
    authorize: Authorize | None = None

    def __repr__(self) -> str:
        return f"Known({self.name!r})"


class Finder:
    def __init__(self, site: Site) -> None:
        self._site = site
        self._tokens = TempTokens(site)

    async def find(self, access: str) -> Known | None:
        """None for a key that nobody knows."""
        found = self._of_settings(access)
        if found is not None:
            return found
        keyed = await self._site.identity.keyed(access)
        if keyed is None or not keyed.caller.project_id:  # without a project there is no account
            return None
        caller = keyed.caller
        return Known(
            caller=caller,
            secret=keyed.secret,
            name=f"{caller.project_name}:{caller.user_name}",
            account=next(iter(self._site.rules.prefixes), "") + caller.project_id,
        )

    def _of_settings(self, access: str) -> Known | None:
        auth = self._site.temp_auth
        user = None if auth is None else auth.keyed(access)
        if auth is None or user is None:
            return None
        groups = temp_auth.groups_of(user, auth.rules)
        return Known(
            caller=Caller(user_id=access, user_name=access, project_id="", project_name=user.account),
            secret=user.key,
            name=access,
            account=user.url.rstrip("/").rpartition("/")[2],
            authorize=partial(self._tokens.judge, groups),
        )
