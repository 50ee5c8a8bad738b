# SPDX-License-Identifier: Apache-2.0
"""Brings hosts to what the rows say: a lane for each host that compiles, sends what changed, and tells who waits."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, CumuletError, NotReady
from cumulet.kernel.link.names import NOT_CONNECTED
from cumulet.services.network.flows.carry import carry
from cumulet.services.network.logic import agents, snapshot, statuses
from cumulet.services.network.logic.compile import compile_host, difference, same
from cumulet.services.network.logic.hosting.base import Snapshot
from cumulet.services.network.types import Applied, HostReport, HostState

LOG = logging.getLogger(__name__)

VERB = "network.apply"
REPORT = "network.report"
CALL_TIMEOUT = 120.0
FIRST_PAUSE, LAST_PAUSE = 0.2, 5.0  # seconds between attempts to reach a host that refuses
AT_ONCE = 0.01  # the same, where another replica was faster
OVERTAKEN = "NetworkStateOvertaken"
LAZY = 0.05  # seconds that news for which nobody waits may wait for more of them
IDLE = 60.0  # seconds after which a lane without work ends its thread


class Converger:
    """The lanes of all hosts of one process."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lanes: dict[str, _Lane] = {}
        self._lock = threading.Lock()

    def carry(self, host: str, port_ids: list[str]) -> None:
        """Have the connections of ports that left the host follow them. Does not wait."""
        carry(self._cloud, self.wait, host, port_ids)

    def wake(self, hosts: Iterable[str]) -> None:
        """Something changed: let these hosts catch up soon, as far as they are there. Does not wait."""
        for host in hosts:
            self._lane(host).ask(LAZY)

    def tell(self, tx: Tx, hosts: Iterable[str]) -> None:
        """Let these hosts catch up once `tx` is durable, as far as they are there."""
        concerned = frozenset(hosts)
        if concerned:
            tx.after_commit(lambda: self.wake(concerned))

    def wait(self, host: str, timeout: float) -> None:
        """Block until the host has applied all that was committed before; NotReady after `timeout` seconds."""
        self._lane(host).wait(timeout)

    def joined(self, host: str, report: HostReport) -> None:
        """A host's link is new: what it has is only known in number, so it gets a full state."""
        self._lane(host).forget(report)

    def _lane(self, host: str) -> _Lane:
        with self._lock:
            if host not in self._lanes:
                self._lanes[host] = _Lane(self._cloud, host, partial(self.carry, host))
            return self._lanes[host]


class _Lane:
    """One host: tickets are drawn by those who changed something, and served in batches by one thread."""

    def __init__(self, cloud: Cloud, host: str, carry: Callable[[list[str]], None]) -> None:
        self._cloud = cloud
        self._host = host
        self._carry = carry
        self._changed = threading.Condition()
        self._asked = 0
        self._served = 0
        self._picked = 0  # the last ticket of the batch that is being served, or was
        self._due = math.inf  # when those drawn since have to be served
        self._working = False
        self._sent: HostState | None = None
        self._failed: Mapping[str, str] = {}  # what the host could not make of it
        self._generation = 0

    def ask(self, patience: float = 0.0) -> int:
        """Draw a ticket, to be served within `patience` seconds; the host has caught up once it is served."""
        with self._changed:
            self._asked += 1
            self._due = min(self._due, time.monotonic() + patience)
            if not self._working:
                self._working = True
                threading.Thread(target=self._work, name=f"converge {self._host}", daemon=True).start()
            self._changed.notify_all()
            return self._asked

    def wait(self, timeout: float) -> None:
        ticket = self.ask()
        with self._changed:
            if not self._changed.wait_for(lambda: self._served >= ticket, timeout):
                raise NotReady(f"the network of host {self._host} is not ready yet", code="NetworkNotConverged")

    def forget(self, report: HostReport) -> None:
        with self._changed:
            self._sent = None
            self._generation = max(self._generation, report.generation)
        self.ask()

    def _work(self) -> None:
        pause = FIRST_PAUSE
        while (ticket := self._next()) is not None:
            try:
                self._serve()
                pause = FIRST_PAUSE
                self._done(ticket)
            except NotReady as error:
                if error.code == OVERTAKEN:
                    time.sleep(AT_ONCE)
                    continue
                if error.code == NOT_CONNECTED:  # it is sent everything once it comes back
                    self._done(ticket, served=False)
                    return
                time.sleep(pause)
                pause = min(pause * 2, LAST_PAUSE)
            except Exception:
                LOG.exception("the network of host %s could not be brought up to date", self._host)
                time.sleep(pause)
                pause = min(pause * 2, LAST_PAUSE)

    def _next(self) -> int | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._asked > self._served, IDLE):
                self._working = False
                return None
            while self._picked <= self._served and (left := self._due - time.monotonic()) > 0:
                self._changed.wait(left)
            self._picked, self._due = self._asked, math.inf
            return self._asked

    def _done(self, ticket: int, *, served: bool = True) -> None:
        with self._changed:
            if served:
                self._served = ticket
            else:
                self._working = False  # the next one who asks, or the host's coming back, starts it again
            self._changed.notify_all()

    def _serve(self) -> None:
        rows = snapshot.take(self._cloud, self._host)
        wanted = compile_host(rows)
        with self._changed:
            sent = self._sent
        if sent is not None and same(sent, wanted):
            self._verify(sent)
            self._note(rows, wanted)
            return
        epoch = agents.epoch(self._cloud)  # may write: never under the lock, which a commit's hooks want
        with self._changed:
            self._generation += 1
            wanted = msgspec.structs.replace(wanted, epoch=epoch, generation=self._generation)
        answer = self._send(sent, wanted)
        applied = msgspec.convert(answer, Applied)
        with self._changed:
            self._sent = wanted if self._generation == wanted.generation else None
        self._failed = applied.failed
        self._note(rows, wanted)
        if applied.left:
            self._carry(applied.left)
        for key, reason in applied.failed.items():
            LOG.error("host %s could not make network object %s: %s", self._host, key, reason)

    def _note(self, rows: Snapshot, state: HostState) -> None:
        """The host has the state: let the rows say so."""
        news = statuses.due(self._host, rows, state, self._failed)
        if news is not None:
            self._cloud.db.write(lambda tx: statuses.note(tx, self._host, news))

    def _send(self, sent: HostState | None, wanted: HostState) -> Any:
        if sent is not None:
            body = {"delta": msgspec.to_builtins(difference(sent, wanted))}
        else:
            body = {"state": msgspec.to_builtins(wanted)}
        try:
            return self._cloud.hosts.call(self._host, VERB, body, timeout=CALL_TIMEOUT)
        except CumuletError as error:
            with self._changed:
                self._sent = None
            if isinstance(error, Conflict):
                raise _overtaken(self._host, self._ask()) from None
            raise

    def _verify(self, sent: HostState) -> None:
        """See that the host still has what was sent from here; NotReady where another replica has served it since."""
        if self._cloud.settings.database.url:
            said = self._ask()
            if (said.epoch, said.generation) != (sent.epoch, sent.generation):
                with self._changed:
                    self._sent = None
                raise _overtaken(self._host, said)

    def _ask(self) -> HostReport:
        """What the host has now, which counts."""
        said = msgspec.convert(self._cloud.hosts.call(self._host, REPORT, {}, timeout=CALL_TIMEOUT), HostReport)
        with self._changed:
            self._generation = said.generation
        return said


def _overtaken(host: str, said: HostReport) -> NotReady:
    """Another replica has served the host, or it has forgotten: the rows are looked at again, and all of them sent."""
    return NotReady(f"host {host} has generation {said.generation}", code=OVERTAKEN)
