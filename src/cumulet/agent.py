# SPDX-License-Identifier: Apache-2.0
"""The agent process: the host parts of all services, joined to the control plane by one link."""

from __future__ import annotations

import importlib
import logging
import os
import platform
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from cumulet import __version__
from cumulet.kernel import door, lock, log, manifest
from cumulet.kernel.backup.host import HostBackup
from cumulet.kernel.bell import Bell
from cumulet.kernel.contracts import Contracts
from cumulet.kernel.door import Door
from cumulet.kernel.injection import FILE as FAULTS
from cumulet.kernel.injection import Injection
from cumulet.kernel.link import own_ways
from cumulet.kernel.link.agent import Uplink
from cumulet.kernel.link.dispatch import Dispatcher
from cumulet.kernel.link.host import INVENTORY, Accountable, AtTheDoor, Host, HostService, LeavesNothing, Verb
from cumulet.kernel.loop import Loop
from cumulet.settings import Settings

if TYPE_CHECKING:
    from cumulet.kernel.link.join import Renewal
    from cumulet.kernel.link.membership import Membership

LOG = logging.getLogger(__name__)

WORKERS = 64  # threads for verbs: most of them wait for a guest, a disk or another program
SERVICES = "cumulet.services"


@dataclass(frozen=True)
class Shared:
    """What the agents of several hosts in one process have together; who made it closes it."""

    loop: Loop
    pool: ThreadPoolExecutor
    injection: Injection

    @classmethod
    def make(cls, settings: Settings) -> Shared:
        pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="verb")
        return cls(Loop(), pool, Injection(settings.state / FAULTS))

    def close(self) -> None:
        self.pool.shutdown(wait=False, cancel_futures=True)
        self.loop.close()


class Agent:
    """The host services of the package `services`, in the order in which they start.

    With `shared` it is one of many in its process, which have no doors of their own.
    """

    def __init__(self, settings: Settings, services: str = SERVICES, shared: Shared | None = None) -> None:
        self._own = Shared.make(settings) if shared is None else None
        common = shared or self._own
        assert common is not None
        self.loop = common.loop
        self._settings = settings
        self._pool = common.pool
        self._verbs: dict[str, Verb] = {}
        self._parts: dict[str, HostService] = {}
        self._membership = own_ways.membership(settings.state)
        self._renewal: Renewal | None = None
        self._uplink = Uplink(
            self.loop,
            own_ways.ways(settings, self._membership),
            hello={"host": settings.host, "version": __version__, "capabilities": capabilities()},
            dispatcher=Dispatcher(self._verbs.get, self._pool),
            report=self.report,
            pool=self._pool,
        )
        host = Host(
            name=settings.host,
            state=settings.state / "agent",
            run_dir=settings.run,
            settings=settings,
            loop=self.loop,
            contracts=Contracts(),
            emit=self._uplink.emit,
            call=self._uplink.call,
            injection=common.injection,
        )
        self.backup = HostBackup(settings.state / "agent", self._parts)
        host.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        host.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        for name, room in _rooms(services).items():
            self._parts[name] = room.create(host)
            self._take_verbs(name, self._parts[name])
        self._verbs[INVENTORY] = lambda _body: self.inventory()
        self._door = Door(self.loop, door.path_of(settings.run, f"agent-{settings.host}"), self._door_verbs())

    def start(self) -> None:
        """Bring every service back, then dial. Raises NotJoined where the membership is of no use any more."""
        if self._membership is not None:
            self._membership.must_be(self._settings.host)
        for name, part in self._parts.items():
            begin = time.monotonic()
            part.start()
            LOG.info("%s is back after %.2f s", name, time.monotonic() - begin)
        self.backup.end({})
        if self._own is not None:
            self._door.open()
        self._uplink.start()
        if self._membership is not None:
            self._renewal = _renewal(self._membership, self._uplink.call)
            self._renewal.start()

    def stop(self) -> None:
        """Leave; servers and networks go on."""
        if self._own is not None:
            self._door.close()
        if self._renewal is not None:
            self._renewal.stop()
        self._uplink.stop()
        for name, part in reversed(self._parts.items()):
            _attempt(f"stopping {name}", part.stop)
        if self._own is not None:
            self._own.close()

    def shutdown(self) -> bool:
        """Take away what the services keep on this host, in the place of `start`; False where something stayed."""
        done = [
            _attempt(f"shutting down {name}", part.shutdown)
            for name, part in reversed(self._parts.items())
            if isinstance(part, LeavesNothing)
        ]
        if self._own is not None:
            self._own.close()
        return all(done)

    @property
    def verbs(self) -> frozenset[str]:
        """The names of all calls that this host takes."""
        return frozenset(self._verbs)

    def report(self) -> dict[str, Any]:
        """The whole truth about this host, by service."""
        return {name: part.report() for name, part in self._parts.items()}

    def inventory(self) -> dict[str, Any]:
        """All that the services have on this host, by service; for `kernel.audit`."""
        return {
            name: part.inventory() if isinstance(part, Accountable) else part.report()
            for name, part in self._parts.items()
        }

    def _door_verbs(self) -> dict[str, door.Verb]:
        own = {"log.level": log.Levels(self._settings.log.level).turn, "link": lambda _words: self._link()}
        asked = [part.at_the_door for part in self._parts.values() if isinstance(part, AtTheDoor)]
        return {**own, **self.backup.verbs, **{verb: answer for verbs in asked for verb, answer in verbs.items()}}

    def _link(self) -> dict[str, Any]:
        """How the link is, for `cumulet status`."""
        until = self._membership.holder().until if self._membership is not None else None
        return {**msgspec.to_builtins(self._uplink.status), "certificate_until": until}

    def _take_verbs(self, name: str, part: HostService) -> None:
        for verb, fn in part.verbs.items():
            if verb in self._verbs:
                raise ValueError(f"{name} offers the verb {verb}, which another service offers already")
            self._verbs[verb] = fn


def run(settings: Settings, services: str = SERVICES) -> None:
    """Be the agent until SIGTERM or SIGINT.

    Raises lock.Held where this state directory has one, NotJoined where its membership is of no use any more.
    """
    log.setup(settings.log.level)
    with lock.hold(settings.state / lock.AGENT):
        ended = Bell()
        ended.ring_at(signal.SIGTERM, signal.SIGINT)
        agent = Agent(settings, services)
        agent.start()
        ended.wait()
        agent.stop()


def drain(settings: Settings, services: str = SERVICES) -> bool:
    """End the servers and remove the networks that an agent left running; False where something stayed.

    Raises lock.Held while an agent still runs.
    """
    log.setup(settings.log.level)
    with lock.hold(settings.state / lock.AGENT):
        return Agent(settings, services).shutdown()


def capabilities() -> dict[str, Any]:
    """What this machine is, as every service may want to know it."""
    return {"architecture": platform.machine(), "kernel": platform.release(), "processors": os.cpu_count() or 1}


def _renewal(membership: Membership, call: Callable[..., Any]) -> Renewal:
    from cumulet.kernel.link.join import Renewal

    return Renewal(membership, call)


def _rooms(services: str) -> dict[str, Any]:
    package = importlib.import_module(services)
    found = manifest.read_all(Path(package.__path__[0]))
    rooms = {each.package: importlib.import_module(f"{services}.{each.package}.agent") for each in found if each.agent}
    after = {name: [other for other in getattr(room, "AFTER", ()) if other in rooms] for name, room in rooms.items()}
    return {name: rooms[name] for name in TopologicalSorter(after).static_order()}


def _attempt(what: str, act: Any) -> bool:
    try:
        act()
    except Exception:
        LOG.exception("%s failed", what)
        return False
    return True
