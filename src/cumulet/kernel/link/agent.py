# SPDX-License-Identifier: Apache-2.0
"""A host's end of the link: dials for ever, reports, then serves."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from concurrent.futures import Executor
from pathlib import Path
from typing import Any

from cumulet.kernel import errors
from cumulet.kernel.link import frames, outcome
from cumulet.kernel.link.controller import READ_LIMIT, REPORT
from cumulet.kernel.link.dispatch import Dispatcher
from cumulet.kernel.link.peer import Peer
from cumulet.kernel.loop import Loop

LOG = logging.getLogger(__name__)

FIRST_PAUSE = 0.1  # seconds before the second attempt; doubled up to LAST_PAUSE
LAST_PAUSE = 1.0
REPORT_TIMEOUT = 60.0

Body = dict[str, Any]


class Uplink:
    """The link of the host called in `hello` (host, capabilities, version) to the control plane at `path`.

    `dispatcher` carries out what the control plane asks. `report()` is called in `pool` at each connect; events that
    are emitted from then until the report has arrived are sent after it, so that the last word is heard last.
    """

    def __init__(
        self,
        loop: Loop,
        path: Path,
        *,
        hello: Body,
        dispatcher: Dispatcher,
        report: Callable[[], Body],
        pool: Executor,
    ) -> None:
        self._loop = loop
        self._path = path
        self._hello = hello
        self._dispatcher = dispatcher
        self._report = report
        self._pool = pool
        self._peer: Peer | None = None
        self._held: list[tuple[str, Body]] | None = None
        self._pause = FIRST_PAUSE
        self._trouble = ""
        self._dialling: Any = None

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
        while True:
            try:
                await self._session()
            except (OSError, frames.FrameError, errors.CumuletError, outcome.RemoteFailure) as error:
                self._complain(str(error))
            except Exception:
                LOG.exception("the link failed")
            await asyncio.sleep(self._pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads the load, hides nothing
            self._pause = min(2 * self._pause, LAST_PAUSE)

    def _complain(self, trouble: str) -> None:
        """Log a trouble once, however often it is met."""
        if trouble != self._trouble:
            LOG.info("no link to the control plane: %s", trouble)
        self._trouble = trouble

    async def _session(self) -> None:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=READ_LIMIT)
        peer = Peer(reader, writer, self._dispatcher.run, lambda _name, _body: None)
        running: asyncio.Future[None] | None = None
        try:
            welcome = await peer.greet(self._hello)
            running = asyncio.ensure_future(peer.run())
            self._peer, self._held = peer, []
            report = await self._loop.run(self._pool, self._report)
            await peer.call(REPORT, report, timeout=REPORT_TIMEOUT)
            LOG.info("joined the control plane (link %s)", welcome.get("generation"))
            self._pause, self._trouble = FIRST_PAUSE, ""
            for event, body in self._held:
                self._send(peer, event, body)
            self._held = None
            await asyncio.shield(running)
            LOG.warning("the link to the control plane is lost")
        finally:
            self._peer = self._held = None
            peer.close()
            if running is not None:
                with contextlib.suppress(asyncio.CancelledError):
                    await running
