# SPDX-License-Identifier: Apache-2.0
"""Devices and a switch that are not there: what `plugs.Plugger` asks for, in memory."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Conflict
from cumulet.services.network.types.plugs import PLUGGED, SOCKET, PlugState


class FakePlugger:
    """Cards and a switch that have whatever the settings say; `plugged` are the ports that they know."""

    kinds = frozenset(PLUGGED)

    def __init__(self, cards: Mapping[str, list[str]], folder: str, bridges: Mapping[str, str]) -> None:
        self._cards, self._folder, self._bridges = cards, folder, bridges
        self.plugged: dict[str, PlugState] = {}

    def offers(self) -> dict[str, Any]:
        found: dict[str, Any] = {"device_mappings": dict(self._cards)} if self._cards else {}
        if self._folder and self._bridges:
            found |= {"vhostuser_socket_dir": self._folder, "vhostuser_bridge_mappings": dict(self._bridges)}
        return found

    def plug(self, port: PlugState) -> bool:
        known = self._bridges if port.kind == SOCKET else self._cards
        if port.physical not in known:
            raise Conflict(f"nothing is on the physical network {port.physical}")
        if port.kind != SOCKET and not port.device:
            raise Conflict("the host has no device ")
        changed = self.plugged.get(port.id) != port
        self.plugged[port.id] = port
        return changed

    def unplug(self, port: PlugState) -> None:
        self.plugged.pop(port.id, None)

    def open_tap(self, port: PlugState) -> int:
        if not port.tap:
            raise Conflict(f"port {port.id} has no tap")
        return os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)

    def close_tap(self, port: PlugState) -> None:
        """Nothing stands for it."""
