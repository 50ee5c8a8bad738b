# SPDX-License-Identifier: Apache-2.0
"""What families add to the resources of others, by the kind of resource."""

from __future__ import annotations

from cumulet.services.network.api.parts.base import Part
from cumulet.services.network.api.parts.port_attributes import PORT_ATTRIBUTES
from cumulet.services.network.api.parts.trunks import TRUNK_DETAILS
from cumulet.services.network.types import Port

_PARTS: dict[type, tuple[Part, ...]] = {
    Port: (PORT_ATTRIBUTES, TRUNK_DETAILS),
}


def of(kind: type) -> tuple[Part, ...]:
    """The parts of this kind of resource."""
    return _PARTS.get(kind, ())
