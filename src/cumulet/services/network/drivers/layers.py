# SPDX-License-Identifier: Apache-2.0
"""What a host was told of a port, the first things to look at where it does not work."""

from __future__ import annotations

from collections.abc import Mapping

from cumulet.services.network.types import HostState, Layer, PortState


def told(state: HostState, port: PortState | None) -> list[Layer]:
    """Whether the port is in the state, and switched on; `port` as the state has it."""
    if port is None:
        return [Layer(name="told", sound=False, words=f"not in generation {state.generation}, the last that came")]
    off = "" if port.up else "off: the port or its network has admin_state_up false"
    return [
        Layer(name="told", sound=True, words=f"in generation {state.generation}"),
        Layer(name="switch", sound=port.up, words=off or "on"),
    ]


def of_trunk(port: PortState, *, there: bool) -> list[Layer]:
    """What a subport needs besides; `there` says whether its parent's device is."""
    if port.trunk is None:
        return []
    words = f"tag {port.trunk.number} of port {port.trunk.parent}"
    return [Layer(name="trunk", sound=there, words=words if there else f"{words}, which no hypervisor has opened")]


def next_hops(heard: Mapping[str, bool]) -> list[Layer]:
    """Next hops that a router watches by BFD; the default routes of those that are not heard do not count."""
    return [
        Layer(name="next hop", sound=sound, words=f"{hop} is {'' if sound else 'not '}heard by BFD")
        for hop, sound in heard.items()
    ]
