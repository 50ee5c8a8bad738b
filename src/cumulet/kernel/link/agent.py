# SPDX-License-Identifier: Apache-2.0
"""A host's end of the link: dials for ever, one replica after the other, reports, then serves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import msgspec

from cumulet.kernel import clock, errors
from cumulet.kernel.link import frames, greeting, outcome
from cumulet.kernel.link.dispatch import Dispatcher
from cumulet.kernel.link.names import REFUSED, REPORT
from cumulet.kernel.link.peer import Peer
from cumulet.kernel.link.ways import Way
from cumulet.kernel.loop import Loop

LOG = logging.getLogger(__name__)

FIRST_PAUSE = 0.1  # seconds before all ways are tried again; doubled up to LAST_PAUSE
LAST_PAUSE = 1.0
REFUSED_PAUSE = 5.0  # seconds where the control plane has said that it wants no link
REPORT_TIMEOUT = 60.0
SKEW = 30.0  # seconds that the clocks may differ before it is said

Body = dict[str, Any]


class Status(msgspec.Struct, frozen=True):
    """How the link is: `way` is empty while there is none; `since` is in seconds since the epoch."""

    way: str = ""
    since: float = 0.0
    trouble: str = ""


class Uplink:
    """The link of the host called in `hello` (host, capabilities, version) to the control plane by one of `ways`.

    `dispatcher` carries out what the control plane asks. `report()` is called in `pool` at each connect; events that
    are emitted from then until the report has arrived are sent after it, so that the last word is heard last.
    `status` is for people: by which way there is a link and since when, or why there is none.
    """

    def __init__(
        self,
        loop: Loop,
        ways: Sequence[Way],
        *,
        hello: Body,
        dispatcher: Dispatcher,
        report: Callable[[], Body],
        pool: Executor,
    ) -> None:
        self._loop = loop
        self._ways = list(ways)
        self._hello = hello
        self._dispatcher = dispatcher
        self._report = report
        self._pool = pool
        self._peer: Peer | None = None
        self._held: list[tuple[str, Body]] | None = None
        self._pause = FIRST_PAUSE
        self._trouble = ""
        self._dialling: Any = None
        self.status = Status()

    def start(self) -> None:
        """Dial, and dial again whenever the link is lost."""
        self._dialling = self._loop.start(self._keep())

    def stop(self) -> None:
        """Cut the link and dial no more."""
        if self._dialling is not None:
            self._dialling.cancel()
            self._loop.wait(self._hang_up())

    def emit(self, event: str, body: Body) -> None:
        """Queue an event; dropped while there is no link, for the next report tells the same."""
        with contextlib.suppress(RuntimeError):  # the loop has ended: so has the agent
            self._loop.asyncio.call_soon_threadsafe(self._emit, event, body)

    def call(self, verb: str, body: Body, timeout: float = 60.0, op: str = "") -> Any:
        """Ask the control plane and block for its answer; NotReady while there is no link."""
        peer = self._peer
        if peer is None:
            raise errors.NotReady("there is no link to the control plane", code="LinkLost")
        return self._loop.wait(peer.call(verb, body, timeout=timeout, op=op))

    def _emit(self, event: str, body: Body) -> None:
        if self._held is not None:
            self._held.append((event, body))
        elif self._peer is not None:
            self._send(self._peer, event, body)

    def _send(self, peer: Peer, event: str, body: Body) -> None:
        try:
            peer.emit(event, body)
        except (errors.CumuletError, outcome.RemoteFailure):
            LOG.exception("the event %s could not be sent", event)

    async def _hang_up(self) -> None:
        if self._peer is not None:
            self._peer.close()

    async def _keep(self) -> None:
        # Hosts spread over the replicas; whoever loses one goes on with the next.
        at = random.randrange(len(self._ways))  # noqa: S311 - spreads the load, hides nothing
        failures = 0
        while True:
            way = self._ways[at % len(self._ways)]
            joined, refused = await self._try(way)
            at += 1
            failures = 0 if joined else failures + 1
            if joined or failures % len(self._ways) == 0:
                await asyncio.sleep(self._next_pause(refused) * random.uniform(0.5, 1.0))  # noqa: S311

    async def _try(self, way: Way) -> tuple[bool, bool]:
        """One life of the link; whether the host had joined, and whether it was told to stay away."""
        self._joined = refused = False
        try:
            await self._session(way)
        except (OSError, frames.FrameError, errors.CumuletError, outcome.RemoteFailure) as error:
            refused = isinstance(error, greeting.Refused)
            self._complain(str(error))
        except Exception:
            LOG.exception("the link failed")
        return self._joined, refused

    def _next_pause(self, refused: bool) -> float:
        if refused:
            return REFUSED_PAUSE
        pause, self._pause = self._pause, min(2 * self._pause, LAST_PAUSE)
        return pause

    def _complain(self, trouble: str) -> None:
        """Log a trouble once, however often it is met."""
        if trouble != self._trouble:
            LOG.info("no link to the control plane: %s", trouble)
        self._trouble = trouble
        self.status = Status(trouble=trouble)

    async def _session(self, way: Way) -> None:
        reader, writer = await way.open()
        running: asyncio.Future[None] | None = None
        peer: Peer | None = None
        try:
            await greeting.say(writer, {**self._hello, "silence": way.silence})
            welcome, _ = await greeting.hear(reader)
            self._compare_clocks(welcome)
            theirs = welcome.get("silence")
            peer = Peer(reader, writer, self._dispatcher.run, self._hear, silence=way.silence, theirs=theirs)
            running = asyncio.ensure_future(peer.run())
            self._peer, self._held = peer, []
            report = await self._loop.run(self._pool, self._report)
            await peer.call(REPORT, report, timeout=REPORT_TIMEOUT)
            LOG.info("joined the control plane by %s (link %s)", way.name, welcome.get("generation"))
            self._joined, self._pause, self._trouble = True, FIRST_PAUSE, ""
            self.status = Status(way=way.name, since=clock.now())
            for event, body in self._held:
                self._send(peer, event, body)
            self._held = None
            await asyncio.shield(running)
            LOG.warning("the link to the control plane is lost")
            self.status = Status(trouble="the link was lost")
        finally:
            self._peer = self._held = None
            if peer is not None:
                peer.close()
            await greeting.part(writer)
            if running is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await running

    def _compare_clocks(self, welcome: Body) -> None:
        said = welcome.get("time")
        if isinstance(said, int | float) and abs(said - clock.now()) > SKEW:
            LOG.warning("the clock of the control plane differs from this one by %.0f s", said - clock.now())

    def _hear(self, name: str, body: Any) -> None:
        if name == REFUSED and isinstance(body, dict):
            LOG.warning("the control plane cuts the link: %s", body.get("reason"))
