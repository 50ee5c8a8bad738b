# SPDX-License-Identifier: Apache-2.0
"""Objects by their policies: some are kept whole, some as fragments."""

from __future__ import annotations

from collections.abc import Container

from cumulet.services.object_store.engine.base import Name, Reading, Writing
from cumulet.services.object_store.engine.coded.objects import CodedObjects
from cumulet.services.object_store.engine.objects import Objects
from cumulet.services.object_store.types.objects import Outcome, Update, Version


class ByPolicy:
    """As the verbs of `Engine` of the same names; `encoded` are the numbers of policies."""

    def __init__(self, whole: Objects, coded: CodedObjects, encoded: Container[int]) -> None:
        self._whole, self._coded, self._encoded = whole, coded, encoded

    async def head(self, name: Name, *, newest: bool = False) -> Version | None:
        return await self._of(name).head(name, newest=newest)

    async def read(self, name: Name, *, newest: bool = False) -> Reading | None:
        return await self._of(name).read(name, newest=newest)

    async def write(self, name: Name, size: int | None = None) -> Writing:
        return await self._of(name).write(name, size)

    async def post(self, name: Name, update: Update, *, expired_too: bool = False) -> Outcome:
        return await self._of(name).post(name, update, expired_too=expired_too)

    async def remove(self, name: Name, stamp: int, *, if_delete_at: int | None = None) -> Outcome:
        return await self._of(name).remove(name, stamp, if_delete_at=if_delete_at)

    def _of(self, name: Name) -> Objects | CodedObjects:
        return self._coded if name.policy in self._encoded else self._whole


EveryObject = Objects | ByPolicy
"""What serves the objects of all policies."""
