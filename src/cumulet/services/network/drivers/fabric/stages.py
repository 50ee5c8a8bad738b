# SPDX-License-Identifier: Apache-2.0
"""What an apply is made of: stages, each one feature's part of it, and the run that they share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from pyroute2.netlink.exceptions import NetlinkError

from cumulet.kernel.run import CommandFailed
from cumulet.services.network.drivers.fabric import nft
from cumulet.services.network.drivers.fabric.ears import Ears
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.metadata import MetadataServer
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.options import FabricOptions
from cumulet.services.network.drivers.fabric.resolver import Resolver
from cumulet.services.network.drivers.fabric.roles import Roles
from cumulet.services.network.types import Capabilities, HostState, Layer, NetworkState, PortState

TROUBLE = (OSError, NetlinkError, nft.RulesRefused, CommandFailed)


class Ground(msgspec.Struct, kw_only=True, frozen=True):
    """What stages are made with. `home` is the namespace of the bridges; `ears` and `resolver` hear for all of them.

    `roles` know which of the routers that hosts share forward here.
    """

    options: FabricOptions
    home: Namespace
    metadata: MetadataServer
    ears: Ears
    resolver: Resolver
    capabilities: Capabilities
    roles: Roles


class Run:
    """One apply: the state, what it cost, and what went wrong with whom.

    `before` is the state of the last apply, `known` holds what stands as it should, by id: nothing when it is time to
    look at everything again. `standing` are the ids of the ports whose device exists behind its rules.
    """

    def __init__(self, state: HostState, before: HostState, known: dict[str, Any]) -> None:
        self.state = state
        self.before = before
        self.known = known
        self.networks: dict[str, NetworkState] = {network.id: network for network in state.networks}
        self.changes = 0
        self.failed: dict[str, str] = {}
        self.standing: list[str] = []

    def is_new(self, item: Any) -> bool:
        """Whether the object of the state is not known to stand exactly so."""
        return bool(self.known.get(item.id) != item)

    @contextlib.contextmanager
    def guarded(self, key: str) -> Iterator[None]:
        """Trouble with one object is written down, the first of it, and does not stop the others."""
        try:
            yield
        except TROUBLE as error:
            self.failed.setdefault(key, str(error))
        except KeyError as error:
            self.failed.setdefault(key, f"{error} is missing from the state or the kernel")


class Stage:
    """A feature's part of an apply; the engine makes one of each of its list, and calls them in that order.

    `prefixes` begin the names of its devices in the fabric's namespace, `letter` those of its own namespaces
    (`cumulet-<mark>-<letter>...`). Methods are called on the engine's thread, one at a time, in the host's namespace
    but for `plug`; what is not overridden does nothing.
    """

    prefixes: tuple[str, ...] = ()
    letter: str = ""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground

    def wanted(self, state: HostState) -> set[str]:
        """The devices of its prefixes that the state has in the fabric's namespace; others are removed."""
        return set()

    def spaces(self, state: HostState) -> set[str]:
        """The namespaces of its letter that the state has; others are handed to `drop`."""
        return set()

    def prepare(self, run: Run) -> None:
        """Make what `plug` needs to find: devices that are made outside, namespaces."""

    def plug(self, links: Links, run: Run) -> None:
        """Join devices to the bridges, whose rules stand by now; `links` are the fabric's."""

    def drop(self, space: Namespace, run: Run) -> None:
        """Take away a namespace that is not wanted any more."""

    def opened(self, port: PortState, state: HostState, failed: dict[str, str]) -> None:
        """A hypervisor has opened the port's tap, in whose namespace this is called; the device is not up yet.

        `failed` gets, by id, what cannot be made.
        """

    def settle(self, run: Run) -> None:
        """Bring the insides of namespaces, and all else, to their state."""

    def turned(self, run: Run, routers: set[str]) -> None:
        """Between two applies: these routers, which several hosts share, came here or are elsewhere than before."""

    def look(self, port: PortState, state: HostState, links: Links) -> Iterable[Layer]:
        """What the port's packets need of the stage; `links` are the fabric's, in whose namespace this is called."""
        return ()

    def close(self) -> None:
        """Let go of what the process holds; what forwards packets stays."""

    def remove(self) -> None:
        """Take away, at shutdown, what the engine does not: devices and namespaces by name it removes itself."""
