# SPDX-License-Identifier: Apache-2.0
"""Whom tokens and access keys stand for, remembered from what identity has told over the link.

What was told holds until its token ends, and until identity says that something has changed: that is asked every
`PERIOD` seconds and told with each answer. So while the control plane is there, what was revoked is good for `PERIOD`
seconds and the time of one call at the most. While it is away nothing can be revoked: what is known goes on, and of
what is not known nobody can say anything (NotReady).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.allowance import Allowance
from cumulet.kernel.errors import CumuletError, NotReady
from cumulet.services.identity.contract import ACCESS_KEY, EPOCH, TOKEN, Holder, Told
from cumulet.services.object_store.logic.access import Caller
from cumulet.services.object_store.logic.identity import Keyed

LOG = logging.getLogger(__name__)

PERIOD = 1.0  # seconds between two questions whether something has changed
MOST = 16_384  # tokens and keys that are remembered; some 1 KiB each
MOST_UNKNOWN = 4096  # of those that are good for nothing: strangers make them up, and they displace no others
UNKNOWN = 10.0  # seconds that such a one is not asked about again

Subject = tuple[str, str, str]  # the verb and what it asks about


class Line(Protocol):
    """The link (`kernel.link.asker`)."""

    async def call(self, verb: str, body: dict[str, Any], *, timeout: float = 10.0) -> Any: ...


class KnownCallers:
    """`logic.identity.Identity` over the link; on the loop alone. `now` tells seconds since the epoch of Unix."""

    def __init__(self, line: Line, now: Callable[[], float] = clock.now) -> None:
        self._line = line
        self._now = now
        self._epoch = -1
        self._known: OrderedDict[Subject, tuple[float, Caller | Keyed]] = OrderedDict()
        self._unknown: OrderedDict[Subject, float] = OrderedDict()
        self._asking: dict[tuple[int, Subject], asyncio.Future[Caller | Keyed | None]] = {}
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Ask from now on whether something has changed."""
        self._watching = asyncio.ensure_future(self._watch())

    async def stop(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watching

    async def caller(self, token: str, service_token: str = "") -> Caller | None:
        found = await self._find((TOKEN, token, service_token))
        return found if isinstance(found, Caller) else None

    async def keyed(self, access: str) -> Keyed | None:
        found = await self._find((ACCESS_KEY, access, ""))
        return found if isinstance(found, Keyed) else None

    async def _find(self, subject: Subject) -> Caller | Keyed | None:
        now = self._now()
        known = self._known.get(subject)
        if known is not None:
            if known[0] > now:
                self._known.move_to_end(subject)
                return known[1]
            del self._known[subject]
        until = self._unknown.get(subject)
        if until is not None and until > now:
            return None
        # Whoever comes after a change does not wait for an answer that was asked for before it.
        key = (self._epoch, subject)
        asking = self._asking.get(key)
        if asking is None:
            asking = self._asking[key] = asyncio.ensure_future(self._ask(subject))
            asking.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(asking)

    def _asked(self, key: tuple[int, Subject], done: asyncio.Future[Any]) -> None:
        self._asking.pop(key, None)
        if not done.cancelled():
            done.exception()  # everybody who waited for it may have gone

    async def _ask(self, subject: Subject) -> Caller | Keyed | None:
        verb, name, service_token = subject
        body = {"access": name} if verb == ACCESS_KEY else {"token": name, "service_token": service_token}
        answer = await self._line.call(verb, body)
        try:
            told = msgspec.convert(answer, Told)
        except msgspec.ValidationError as error:
            raise NotReady(f"identity told what cannot be understood: {error}") from None
        self._heed(told.epoch)
        current = told.epoch == self._epoch
        holder = told.key.holder if told.key is not None else told.holder
        if holder is None or holder.ends <= self._now():
            if current:
                _remember(self._unknown, subject, self._now() + UNKNOWN, MOST_UNKNOWN)
            return None
        found: Caller | Keyed = _caller(holder)
        if told.key is not None:
            found = Keyed(caller=_caller(holder), secret=told.key.secret)
        if current:
            _remember(self._known, subject, (holder.ends, found), MOST)
        return found

    def _heed(self, epoch: int, *, latest: bool = False) -> None:
        """Forget everything where something has changed. A lower epoch that is the latest is of a restored database."""
        if epoch > self._epoch or (latest and epoch != self._epoch):
            self._epoch = epoch
            self._known.clear()
            self._unknown.clear()

    async def _watch(self) -> None:
        while True:
            try:
                answer = await self._line.call(EPOCH, {}, timeout=5.0)
                self._heed(int(answer["epoch"]), latest=True)
            except CumuletError as error:  # the link is lost, or the database is away: nothing can change
                LOG.debug("whether something has changed cannot be asked: %s", error)
            except Exception:
                LOG.exception("whether something has changed was told in words that cannot be understood")
            await asyncio.sleep(PERIOD)


def _remember(memory: OrderedDict[Subject, Any], subject: Subject, value: Any, most: int) -> None:
    memory[subject] = value
    memory.move_to_end(subject)
    if len(memory) > most:
        memory.popitem(last=False)


def _caller(holder: Holder) -> Caller:
    allowed = holder.allowed
    allowances = None if allowed is None else tuple(Allowance(*msgspec.structs.astuple(each)) for each in allowed)
    return Caller(
        user_id=holder.user_id,
        user_name=holder.user_name,
        project_id=holder.project_id,
        project_name=holder.project_name,
        user_domain=holder.user_domain_id,
        project_domain=holder.project_domain_id,
        roles=frozenset(holder.roles),
        service_roles=frozenset(holder.service_roles),
        allowances=allowances,
    )
