# SPDX-License-Identifier: Apache-2.0
"""Compute's contract, implemented."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import NotFound
from cumulet.services.compute.contract import ConsolesContract, ConsoleWay, ServerInfo, ServersContract
from cumulet.services.compute.logic import consoles, servers, volume_move, volume_swap, volumes


class Servers:
    """`ServersContract`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def server(self, source: Source, server_id: str) -> ServerInfo | None:
        found = servers.find(source, server_id)
        if found is None:
            return None
        return ServerInfo(
            id=found.id,
            name=found.name,
            project_id=found.project_id,
            user_id=found.user_id,
            host=found.host,
            vm_state=found.vm_state,
            task_state=found.task_state,
        )

    def is_visible(self, source: Source, ctx: Context, server_id: str) -> bool:
        return servers.is_visible(source, ctx, server_id)

    def volume_gone(self, tx: Tx, server_id: str, volume_id: str) -> None:
        volumes.gone(self._cloud, tx, server_id, volume_id)

    def port_gone(self, tx: Tx, server_id: str, port_id: str) -> None:
        servers.port_gone(self._cloud, tx, server_id, port_id)

    def limit_disk(self, server_id: str, volume_id: str, limits: dict[str, int], *, generation: int) -> None:
        volumes.limit(self._cloud, server_id, volume_id, limits, generation)

    def resize_disk(self, server_id: str, volume_id: str, size: int, request_id: str, *, generation: int = 0) -> bool:
        return volumes.resize(self._cloud, server_id, volume_id, size, request_id, generation)

    def move_volume(self, tx: Tx, server_id: str, volume_id: str, request_id: str) -> None:
        volume_move.begin(self._cloud, tx, server_id, volume_id, request_id)

    def swap_volume(self, tx: Tx, ctx: Context, server_id: str, old_volume_id: str, new_volume_id: str) -> None:
        server = servers.find(tx, server_id)
        if server is None:
            raise NotFound(f"Instance {server_id} could not be found.", code="InstanceNotFound")
        volume_swap.begin(self._cloud, tx, ctx, server, old_volume_id, new_volume_id)


class Consoles:
    """`ConsolesContract`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def admit(self, token: str, display: str) -> ConsoleWay:
        return consoles.admit(self._cloud, token, display)


def offers(cloud: Cloud) -> dict[type, Callable[[], Any]]:
    return {ConsolesContract: lambda: Consoles(cloud), ServersContract: lambda: Servers(cloud)}
