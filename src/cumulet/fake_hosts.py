# SPDX-License-Identifier: Apache-2.0
"""Many hosts in one process, all on fake drivers: what a control plane of a thousand hosts is tested with.

Each has a link, a journal and a name of its own (`fake-0001`) and does all that an agent does; the loop, the threads
and the faults are common to all.
"""

from __future__ import annotations

import logging
import resource
import signal

import msgspec

from cumulet.agent import SERVICES, Agent, Shared
from cumulet.kernel import lock, log
from cumulet.kernel.bell import Bell
from cumulet.settings import Settings
from cumulet.settings.block_storage import FakeVolumeBackend

LOG = logging.getLogger(__name__)

FILES_PER_HOST = 2  # a link, and now and then a journal
FILES_BESIDE = 256


class FakeHosts:
    """`count` hosts that dial the control plane of `settings`. Raises ValueError unless all drivers are fake."""

    def __init__(self, settings: Settings, count: int, services: str = SERVICES) -> None:
        if count < 1:
            raise ValueError("--fake-hosts takes a number of hosts, 1 at least")
        real = [name for name in ("compute", "network") if getattr(settings, name).driver != "fake"]
        if not all(isinstance(each, FakeVolumeBackend) for each in settings.block_storage.own_backends):
            real.append("block_storage")
        if real:
            raise ValueError(
                f"fake hosts need fake drivers: set {', '.join(f'{name}.driver' for name in real)} to fake"
            )
        _allow_files(count * FILES_PER_HOST + FILES_BESIDE)
        self._shared = Shared.make(settings)
        self.agents = [Agent(_settings_of(settings, name_of(n)), services, self._shared) for n in range(1, count + 1)]

    def start(self) -> None:
        """Bring every host back, then dial."""
        for agent in self.agents:
            agent.start()
        LOG.info("%d fake hosts are at work", len(self.agents))

    def stop(self) -> None:
        """Leave; their journals stay."""
        for agent in self.agents:
            agent.stop()
        self._shared.close()


def name_of(number: int) -> str:
    """What the host with this number is called, from 1 on."""
    return f"fake-{number:04}"


def run(settings: Settings, count: int) -> None:
    """Be `count` hosts until SIGTERM or SIGINT. Raises lock.Held, and ValueError unless all drivers are fake."""
    log.setup(settings.log.level)
    with lock.hold(settings.state / "fake-hosts.lock"):
        ended = Bell()
        ended.ring_at(signal.SIGTERM, signal.SIGINT)
        hosts = FakeHosts(settings, count)
        hosts.start()
        ended.wait()
        hosts.stop()


def _settings_of(settings: Settings, name: str) -> Settings:
    return msgspec.structs.replace(settings, host=name, state=settings.state / "fake-hosts" / name, run=settings.run)


def _allow_files(wanted: int) -> None:
    """Raise this process's limit of open files as far as it may itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
