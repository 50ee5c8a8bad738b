# SPDX-License-Identifier: Apache-2.0
"""What ports say for those who plug them in, and what follows from it for their bindings."""

from __future__ import annotations

from typing import Any

import orjson

from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import binding
from cumulet.services.network.logic.faults import fault, invalid
from cumulet.services.network.types import Port

LONGEST_PROFILE = 4095  # bytes of JSON, as Neutron keeps it


def check(tx: Tx, ctx: Context, port: Port | None, values: dict[str, Any]) -> None:
    """A port that is bound keeps its NUMA policy: its server was placed by it."""
    if port is not None and binding.is_plugged(port) and "numa_affinity_policy" in values:
        raise fault("PortBoundNUMAAffinityPolicy", id=port.id, host=port.host, policy=values["numa_affinity_policy"])


def profile(given: dict[str, Any] | None, offload: str | None = None) -> dict[str, Any]:
    """A binding's profile as it is kept: the kind of offloading that was asked for is one of its `capabilities`."""
    found = dict(given or {})
    if offload is not None:
        capabilities = found.get("capabilities", [])
        if not isinstance(capabilities, list):
            raise invalid("the capabilities of binding:profile are no list")
        found["capabilities"] = [*capabilities, *([offload] if offload not in capabilities else [])]
    if len(orjson.dumps(found)) > LONGEST_PROFILE:
        raise invalid("binding:profile value too large")
    return found


def shown_profile(port: Port) -> dict[str, Any]:
    """The profile as it is shown: whether the interface is trusted is part of it."""
    return port.profile if port.trusted is None else {**port.profile, "trusted": port.trusted}
