# SPDX-License-Identifier: Apache-2.0
"""Where processes ask the control plane that keep no hosts' things and have no database.

Those of its own machine may ask all that is answered here; those of hosts that have joined what is answered from afar.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from cumulet.kernel import clock, errors
from cumulet.kernel.link import greeting
from cumulet.kernel.link.dispatch import Dispatcher, Verb
from cumulet.kernel.link.doors import Caller
from cumulet.kernel.link.names import ASKS, REFUSED, is_host_name
from cumulet.kernel.link.peer import Peer
from cumulet.kernel.link.rows import HostRow

LOG = logging.getLogger(__name__)

THREADS = 4

Body = dict[str, Any]
Answer = Callable[[str, Body], Any]


class Desk:
    """Answers by verb, in threads of their own; all but `answer` and `end` happens on the loop."""

    def __init__(self, replica: str) -> None:
        # Who asks much, because strangers ask it much, does not take the threads of hosts.
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="desk")
        self._replica = replica
        self._answers: dict[str, Answer] = {}
        self._afar: set[str] = set()
        self._links: set[_Link] = set()

    def answer(self, verb: str, fn: Answer, *, afar: bool = False) -> None:
        """Answer calls of `verb` with `fn(who asks, body)`, those of hosts that have joined too where it is `afar`."""
        if verb in self._answers:
            raise ValueError(f"{verb} is answered twice")
        self._answers[verb] = fn
        if afar:
            self._afar.add(verb)

    async def serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        caller: Caller,
        hello: Mapping[str, Any],
        version: int,
        row: HostRow | None = None,
    ) -> None:
        """One link from after its hello to its end; `row` is of the host whose good certificate was shown.

        Forbidden for who came neither with one nor by this machine's own door.
        """
        name = hello.get(ASKS)
        if caller.role != "local" and row is None:
            raise errors.Forbidden("only processes of this machine, and of hosts that have joined, may ask")
        if not is_host_name(name):
            raise errors.Invalid("the hello does not say who asks")
        who = str(name) if row is None else f"{row.name}/{name}"
        find = partial(self._find, who, row is not None)
        theirs = hello.get("silence")
        peer = Peer(reader, writer, Dispatcher(find, self._pool).run, _ignore, silence=caller.silence, theirs=theirs)
        link = _Link(peer, row)
        self._links.add(link)
        try:
            words = {"replica": self._replica, "time": clock.now(), "silence": caller.silence}
            await greeting.say(writer, words, version)
            LOG.info("%s asks here now", who)
            await peer.run()
        finally:
            self._links.discard(link)
            peer.close()

    def judge(self, hosts: Mapping[str, HostRow], at: float) -> None:
        """Cut the links of hosts that were revoked, removed or replaced, as a look begun `at` has seen them."""
        for link in list(self._links):
            if link.row is None or link.since >= at:
                continue
            row = hosts.get(link.row.name)
            if row is None or row.revoked or row.joined_at != link.row.joined_at:
                word = "removed" if row is None else "revoked" if row.revoked else "replaced"
                reason = f"host {link.row.name} has been {word}"
                LOG.warning("%s; its processes ask here no more", reason)
                link.peer.emit(REFUSED, {"reason": reason})
                link.peer.close()

    def close(self) -> None:
        """Cut all links."""
        for link in list(self._links):
            link.peer.close()

    def end(self) -> None:
        """Let go of the threads once what they do is done: it is short, and the database is closed next."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _find(self, who: str, is_afar: bool, verb: str) -> Verb | None:
        fn = self._answers.get(verb) if verb in self._afar or not is_afar else None
        return None if fn is None else partial(fn, who)


class _Link:
    """One that is served; `row` is of its host, None for this machine."""

    def __init__(self, peer: Peer, row: HostRow | None) -> None:
        self.peer, self.row, self.since = peer, row, time.monotonic()


def _ignore(_name: str, _body: Any) -> None:
    """Who asks has no news."""
