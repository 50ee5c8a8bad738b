# SPDX-License-Identifier: Apache-2.0
"""What every network engine must do: take the desired state of a host and make it so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Protocol, TypeAlias

from cumulet.services.network.contract import MetadataAnswer, MetadataQuery
from cumulet.services.network.types import Applied, Capabilities, HostState, Layer, RouterState
from cumulet.services.network.types.connections import Connection
from cumulet.services.network.types.meters import MeterReading

# Answers a guest's metadata request; runs in a thread, may block for seconds.
Metadata: TypeAlias = Callable[[MetadataQuery], MetadataAnswer]


class Fabric(Protocol):
    """One host's network engine. Calls may come from any thread; applies are serialised within."""

    @property
    def capabilities(self) -> Capabilities:
        """What this host can do, probed once."""

    def apply(self, state: HostState) -> Applied:
        """Make the host as `state` says, whatever it is now; the same state twice changes nothing the second time.

        A port's rules stand before its device is up. One object that cannot be made does not keep the others from
        it: it is named in `failed`.
        """

    def repair(self) -> Applied:
        """Look at everything that the last state asks for, believing nothing, and make good what is not so."""

    def open_tap(self, port_id: str, *, multi_queue: bool = False) -> int:
        """See `HostPorts.open_tap`."""

    def close_tap(self, port_id: str) -> None:
        """See `HostPorts.close_tap`."""

    def report(self) -> Applied:
        """What stands now, without changing anything."""

    def connections(self, port_ids: Collection[str]) -> list[Connection]:
        """The tracked connections of ports that are on the host, or were within the last minute."""

    def adopt(self, offered: Collection[Connection]) -> int:
        """Go on tracking what another host tracked; how many of them the rules here would have let begin."""

    def look(self, port_id: str) -> list[Layer]:
        """What a port of the host's needs, from the outside in; only the first word where the host does not know it."""

    def meters(self, routers: Iterable[RouterState]) -> list[MeterReading]:
        """What these routers have counted for their labels; of those that do not stand, nothing. Changes nothing."""

    def active(self) -> list[str]:
        """The ids of the state's routers that hosts share and that forward here."""

    def on_turn(self, tell: Callable[[], None]) -> None:
        """Call `tell`, on any thread, whenever that has changed."""

    def stop(self) -> None:
        """Let go of sockets and threads; what forwards packets stays."""

    def shutdown(self) -> None:
        """Take everything away: afterwards the host is as if the engine had never run."""
