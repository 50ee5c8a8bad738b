# SPDX-License-Identifier: Apache-2.0
"""Ports of a switch in user space that shares memory with guests: Open vSwitch on DPDK, by vhost-user."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cumulet.kernel.errors import Conflict
from cumulet.kernel.run import run
from cumulet.services.network.types.plugs import SOCKET, PlugState

_PROGRAM = "ovs-vsctl"
_TIMEOUT = 10  # seconds that the switch may take


class UserSwitch:
    """`plugs.Plugger` on Open vSwitch: the hypervisor makes the socket in `folder`, the switch comes to it.

    `bridges` are the switch's bridges by physical network; ports get their VLAN there as a tag.

    LIMITATIONS: the fabric's security groups, DHCP and metadata do not see what passes here.
    """

    kinds = frozenset({SOCKET})

    def __init__(self, folder: str, bridges: Mapping[str, str]) -> None:
        self._folder = folder
        self._bridges = bridges
        self._done: dict[str, PlugState] = {}

    def offers(self) -> dict[str, Any]:
        if not self._folder or not self._bridges:
            return {}
        return {"vhostuser_socket_dir": self._folder, "vhostuser_bridge_mappings": dict(self._bridges)}

    def plug(self, port: PlugState) -> bool:
        name, bridge = Path(port.socket).name, self._bridges.get(port.physical)
        if bridge is None:
            raise Conflict(f"no bridge of the switch is on the physical network {port.physical}")
        said = ["--may-exist", "add-port", bridge, name]
        said += ["--", "set", "Interface", name, "type=dpdkvhostuserclient"]
        said += [f"options:vhost-server-path={port.socket}", f"external_ids:iface-id={port.id}"]
        said += [f"external_ids:attached-mac={port.mac}", *([f"mtu_request={port.mtu}"] if port.mtu else [])]
        said += ["--", *(("set", "Port", name, f"tag={port.vlan}") if port.vlan else ("clear", "Port", name, "tag"))]
        self._tell(*said)
        before, self._done[port.id] = self._done.get(port.id), port
        return before != port

    def unplug(self, port: PlugState) -> None:
        self._done.pop(port.id, None)
        self._tell("--if-exists", "del-port", Path(port.socket).name)

    def open_tap(self, port: PlugState) -> int:
        raise Conflict(f"port {port.id} has no tap: the switch shares the guest's memory")

    def close_tap(self, port: PlugState) -> None:
        """There is none."""

    def _tell(self, *words: str) -> None:
        run([_PROGRAM, f"--timeout={_TIMEOUT}", *words], timeout=_TIMEOUT + 5)
