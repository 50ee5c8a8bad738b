# SPDX-License-Identifier: Apache-2.0
"""The kinds of networks that there are: those of this package, and those that others bring."""

from __future__ import annotations

from functools import cache

from cumulet.kernel import plugins
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import Unsupported
from cumulet.services.network.contract import TypeDriver
from cumulet.services.network.logic import agents
from cumulet.services.network.logic.faults import invalid
from cumulet.services.network.logic.network_types.own import Flat, Local, Vxlan
from cumulet.services.network.types import FLAT, LOCAL, TUNNEL

GROUP = "cumulet.network.type_drivers"

_OWN: dict[str, TypeDriver] = {FLAT: Flat(), LOCAL: Local(), TUNNEL: Vxlan()}


@cache
def find(name: str) -> TypeDriver:
    """The driver of this kind; Unsupported where nobody brings one.

    An entry point of another package is the driver's class, which is made without arguments.
    """
    if name in _OWN:
        return _OWN[name]
    try:
        found: TypeDriver = plugins.load(GROUP, name)()
    except LookupError as error:
        raise Unsupported(f"There is no driver {name} for networks.") from error
    return found


def offered(cloud: Cloud, source: Source, kind: str) -> TypeDriver:
    """The driver of a kind that this cloud offers; InvalidInput where its settings or its hosts know of none."""
    if kind not in cloud.settings.network.type_drivers:
        raise invalid(f"network_type value '{kind}' not supported")
    driver = find(kind)
    if not driver.everywhere and not _is_carried(source, kind):
        raise invalid(f"network_type value '{kind}' not supported: no host carries such networks")
    return driver


def _is_carried(source: Source, kind: str) -> bool:
    """Whether a host that is there says so."""
    return any(kind in _carried(agent.configurations) for agent in agents.hosts(source) if agents.is_alive(agent))


def _carried(configurations: dict[str, object]) -> list[str]:
    capabilities = configurations.get("capabilities")
    said = capabilities.get("network_types") if isinstance(capabilities, dict) else None
    return said if isinstance(said, list) else []
