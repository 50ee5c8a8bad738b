# SPDX-License-Identifier: Apache-2.0
"""The link of a process that only asks the control plane (`desk`): dials for ever, one replica after the other."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Sequence
from typing import Any

from cumulet.kernel import clock, errors
from cumulet.kernel.link import frames, greeting, outcome
from cumulet.kernel.link.agent import FIRST_PAUSE, LAST_PAUSE, REFUSED_PAUSE, Status
from cumulet.kernel.link.names import ASKS, LINK_LOST, REFUSED
from cumulet.kernel.link.peer import Peer
from cumulet.kernel.link.ways import Way

LOG = logging.getLogger(__name__)

WAIT = 1.0  # seconds that a call waits for a link that is lost: by then one goes to another replica

Body = dict[str, Any]


class Asker:
    """Asks in the name of the process `name` by one of `ways`; everything here happens on the loop."""

    def __init__(self, ways: Sequence[Way], name: str) -> None:
        self._ways = list(ways)
        self._name = name
        self._peer: Peer | None = None
        self._linked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.status = Status()

    def start(self) -> None:
        """Dial, and dial again whenever the link is lost."""
        self._task = asyncio.ensure_future(self._keep())

    async def stop(self) -> None:
        """Cut the link and dial no more."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def call(self, verb: str, body: Body, *, timeout: float = 10.0) -> Any:
        """The control plane's answer. Raises its own kernel error; NotReady where it cannot answer now."""
        if self._peer is None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._linked.wait(), WAIT)
        if self._peer is None:
            raise errors.NotReady("there is no link to the control plane", code=LINK_LOST)
        try:
            return await self._peer.call(verb, body, timeout=timeout)
        except outcome.RemoteFailure as error:
            raise errors.NotReady(str(error), code="RemoteFailure") from error

    async def _keep(self) -> None:
        at = random.randrange(len(self._ways))  # noqa: S311 - spreads the load, hides nothing
        pause = FIRST_PAUSE
        while True:
            way = self._ways[at % len(self._ways)]
            at += 1
            refused = False
            try:
                await self._session(way)
                pause = FIRST_PAUSE
            except (OSError, frames.FrameError, errors.CumuletError) as error:
                refused = isinstance(error, greeting.Refused)
                self._complain(str(error))
            except Exception:
                LOG.exception("the link failed")
            await asyncio.sleep((REFUSED_PAUSE if refused else pause) * random.uniform(0.5, 1.0))  # noqa: S311
            pause = min(2 * pause, LAST_PAUSE)

    def _complain(self, trouble: str) -> None:
        if trouble != self.status.trouble:
            LOG.info("no link to the control plane: %s", trouble)
        self.status = Status(trouble=trouble)

    async def _session(self, way: Way) -> None:
        reader, writer = await way.open()
        peer: Peer | None = None
        try:
            await greeting.say(writer, {ASKS: self._name, "silence": way.silence})
            welcome, _ = await greeting.hear(reader)
            theirs = welcome.get("silence")
            peer = Peer(reader, writer, _serve_nothing, _hear, silence=way.silence, theirs=theirs)
            self._peer = peer
            self._linked.set()
            self.status = Status(way=way.name, since=clock.now())
            LOG.info("asks the control plane by %s", way.name)
            await peer.run()
            LOG.warning("the link to the control plane is lost")
            self.status = Status(trouble="the link was lost")
        finally:
            self._linked.clear()
            self._peer = None
            if peer is not None:
                peer.close()
            await greeting.part(writer)


async def _serve_nothing(verb: str, _body: Any, _op: str) -> Any:
    raise errors.Unsupported(f"there is no verb {verb} here", code="UnknownVerb")


def _hear(name: str, body: Any) -> None:
    if name == REFUSED and isinstance(body, dict):
        LOG.warning("the control plane cuts the link: %s", body.get("reason"))
