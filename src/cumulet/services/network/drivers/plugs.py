# SPDX-License-Identifier: Apache-2.0
"""Ports beside the fabric: what plugs them in, and the fabric together with that.

A `Plugger` is the host's side of a mechanism driver. Its suite is `tests/drivers/network/test_network_plugs.py`.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Protocol

import msgspec

from cumulet.kernel.errors import CumuletError, NotReady
from cumulet.kernel.run import CommandFailed
from cumulet.services.network.drivers.base import Fabric
from cumulet.services.network.types import Applied, Capabilities, HostState, Layer, RouterState
from cumulet.services.network.types.connections import Connection
from cumulet.services.network.types.meters import MeterReading
from cumulet.services.network.types.plugs import PlugState

LOG = logging.getLogger(__name__)
_TROUBLE = (OSError, CommandFailed, CumuletError)


class Plugger(Protocol):
    """Plugs in ports of some `kinds` (`types.plugs.PLUGGED`). Calls come one at a time.

    Trouble is OSError, CommandFailed or one of the kernel's errors.
    """

    kinds: frozenset[str]

    def offers(self) -> Mapping[str, Any]:
        """What the host has for such ports, as its agent's `configurations` say it; nothing where it has none."""

    def plug(self, port: PlugState) -> bool:
        """Make it so that packets of the port go as its state says; whether anything had to be done."""

    def unplug(self, port: PlugState) -> None:
        """The port has left the host: nothing of it stays. Idempotent."""

    def open_tap(self, port: PlugState) -> int:
        """See `HostPorts.open_tap`, for ports whose state says `tap`."""

    def close_tap(self, port: PlugState) -> None:
        """See `HostPorts.close_tap`."""


class Plugs:
    """A Fabric that hands those ports to `pluggers` that are theirs, and everything else to the fabric."""

    def __init__(self, fabric: Fabric, pluggers: Sequence[Plugger]) -> None:
        self._fabric = fabric
        self._by_kind = {kind: each for each in pluggers for kind in each.kinds}
        self._lock = threading.Lock()
        self._known: dict[str, PlugState] = {}
        self._failed: dict[str, str] = {}

    @property
    def capabilities(self) -> Capabilities:
        return self._fabric.capabilities

    def apply(self, state: HostState) -> Applied:
        """See `Fabric.apply`."""
        applied = self._fabric.apply(state)
        with self._lock:
            return self._with(applied, self._settle(state.plugs, thorough=False))

    def repair(self) -> Applied:
        """See `Fabric.repair`."""
        applied = self._fabric.repair()
        with self._lock:
            return self._with(applied, self._settle(list(self._known.values()), thorough=True))

    def open_tap(self, port_id: str, *, multi_queue: bool = False) -> int:
        """See `Fabric.open_tap`."""
        with self._lock:
            port = self._known.get(port_id)
            if port is not None and port_id in self._failed:
                raise NotReady(self._failed[port_id])
            if port is not None:
                return self._by_kind[port.kind].open_tap(port)
        return self._fabric.open_tap(port_id, multi_queue=multi_queue)

    def close_tap(self, port_id: str) -> None:
        """See `Fabric.close_tap`."""
        with self._lock:
            port = self._known.get(port_id)
            if port is not None and port.tap and port.kind in self._by_kind:
                self._by_kind[port.kind].close_tap(port)
        self._fabric.close_tap(port_id)

    def report(self) -> Applied:
        """See `Fabric.report`."""
        with self._lock:
            return self._with(self._fabric.report(), 0)

    def look(self, port_id: str) -> list[Layer]:
        """See `Fabric.look`."""
        with self._lock:
            port = self._known.get(port_id)
            if port is None:
                return self._fabric.look(port_id)
            words = self._failed.get(port_id) or f"{port.kind} {port.device or port.socket}"
            return [Layer(name="device", sound=port_id not in self._failed, words=words)]

    def connections(self, port_ids: Collection[str]) -> list[Connection]:
        """See `Fabric.connections`; what passes beside the fabric is not tracked."""
        return self._fabric.connections(port_ids)

    def adopt(self, offered: Collection[Connection]) -> int:
        """See `Fabric.adopt`."""
        return self._fabric.adopt(offered)

    def meters(self, routers: Iterable[RouterState]) -> list[MeterReading]:
        """See `Fabric.meters`."""
        return self._fabric.meters(routers)

    def active(self) -> list[str]:
        """See `Fabric.active`."""
        return self._fabric.active()

    def on_turn(self, tell: Callable[[], None]) -> None:
        """See `Fabric.on_turn`."""
        self._fabric.on_turn(tell)

    def stop(self) -> None:
        """See `Fabric.stop`."""
        self._fabric.stop()

    def shutdown(self) -> None:
        """See `Fabric.shutdown`."""
        with self._lock:
            self._settle([], thorough=False)
        self._fabric.shutdown()

    def _settle(self, wanted: list[PlugState], *, thorough: bool) -> int:
        """Unplug what is not wanted, plug in what is; how many changes that were."""
        changes, keep = 0, {port.id: port for port in wanted}
        for port in [port for key, port in self._known.items() if keep.get(key) != port]:
            del self._known[port.id]
            if port.id not in keep or keep[port.id].device != port.device or keep[port.id].kind != port.kind:
                changes += self._unplugged(port)
        for port in wanted:
            if thorough or port.id in self._failed or port.id not in self._known:
                self._failed.pop(port.id, None)
                changes += self._plugged(port)
            self._known[port.id] = port
        self._failed = {key: words for key, words in self._failed.items() if key in keep}
        return changes

    def _plugged(self, port: PlugState) -> bool:
        plugger = self._by_kind.get(port.kind)
        if plugger is None:
            self._failed[port.id] = f"this host plugs in no ports of the kind {port.kind}"
            return False
        try:
            return plugger.plug(port)
        except _TROUBLE as error:
            self._failed[port.id] = str(error)
            return False

    def _unplugged(self, port: PlugState) -> bool:
        plugger = self._by_kind.get(port.kind)
        if plugger is None:
            return False
        try:
            plugger.unplug(port)
        except _TROUBLE as error:
            LOG.warning("port %s could not be unplugged: %s", port.id, error)
        return True

    def _with(self, applied: Applied, changes: int) -> Applied:
        """What the fabric says, with the ports beside it: those stand that are up and plugged in."""
        standing = [key for key, port in self._known.items() if port.up and key not in self._failed]
        return msgspec.structs.replace(
            applied,
            changes=applied.changes + changes,
            ports=sorted({*applied.ports, *standing}),
            failed={**applied.failed, **self._failed},
        )
