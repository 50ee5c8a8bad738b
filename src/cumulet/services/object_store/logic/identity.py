# SPDX-License-Identifier: Apache-2.0
"""Whom the tokens and keys of requests stand for: what the store asks of whoever knows."""

from __future__ import annotations

from typing import Protocol

import msgspec

from cumulet.services.object_store.logic.access import Caller


class Keyed(msgspec.Struct, frozen=True, kw_only=True):
    """Whom an access key of S3 stands for, and the secret that its requests are signed with."""

    caller: Caller
    secret: str

    def __repr__(self) -> str:
        return f"Keyed({self.caller!r})"


class Identity(Protocol):
    """NotReady where it cannot be asked now and does not know from before."""

    async def caller(self, token: str, service_token: str = "") -> Caller | None:
        """None for a token that is not valid. Roles of `service_token`, if that is valid, are the service roles."""

    async def keyed(self, access: str) -> Keyed | None:
        """None for an access key that is not known."""
