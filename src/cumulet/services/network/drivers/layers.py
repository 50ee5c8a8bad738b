# SPDX-License-Identifier: Apache-2.0
"""What a host was told of a port, the first things to look at where it does not work."""

from __future__ import annotations

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
