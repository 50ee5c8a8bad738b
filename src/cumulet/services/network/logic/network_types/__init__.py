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
from cumulet.services.network.logic.network_types.own import GENEVE, GRE, VXLAN, Flat, Local, Vlan
from cumulet.services.network.store import common
from cumulet.services.network.types import FLAT, LOCAL, TUNNEL, VLAN
from cumulet.services.network.types.provider import vlan_ranges
from cumulet.services.network.types.segment_ranges import SegmentRange

GROUP = "cumulet.network.type_drivers"

_OWN: dict[str, TypeDriver] = {
    FLAT: Flat(),
    LOCAL: Local(),
    VLAN: Vlan(),
    TUNNEL: VXLAN,
    "gre": GRE,
    "geneve": GENEVE,
}


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


def are_own(cloud: Cloud) -> bool:
    """Whether the cloud offers no kinds but those of this package."""
    return _OWN.keys() >= set(cloud.settings.network.type_drivers)


def default_ranges(cloud: Cloud) -> list[tuple[str, str, int, int]]:
    """What the settings give networks of the kinds that there may be: kind, physical network, first and last number."""
    first, _, last = cloud.settings.network.segments.partition("-")
    found = [(TUNNEL, "", int(first), int(last))]
    for physical, numbers in vlan_ranges(cloud.settings.network.network_vlan_ranges).items():
        found += [(VLAN, physical, one[0], one[-1]) for one in numbers]
    return [each for each in found if each[0] in cloud.settings.network.type_drivers]


def offered(cloud: Cloud, source: Source, kind: str) -> TypeDriver:
    """The driver of a kind that this cloud offers; InvalidInput where its settings or its hosts know of none."""
    if kind not in cloud.settings.network.type_drivers:
        raise invalid(f"network_type value '{kind}' not supported")
    driver = find(kind)
    if not driver.everywhere and not _is_carried(source, kind):
        why = "; ".join(sorted(_reasons(source, kind)))
        words = f"network_type value '{kind}' not supported: no host carries such networks"
        raise invalid(f"{words} ({why})" if why else words)
    return driver


def known(cloud: Cloud, source: Source, kind: str) -> frozenset[str]:
    """The physical networks that networks of the kind may be on, by the settings or a range of numbers; `*`: any."""
    chosen = cloud.settings.network
    if kind == FLAT:
        return frozenset(chosen.flat_networks)
    if kind != VLAN:
        return frozenset()
    ranges = common.find_all(source, SegmentRange, network_type=[VLAN])
    return frozenset({*vlan_ranges(chosen.network_vlan_ranges), *(each.physical_network for each in ranges)})


def _is_carried(source: Source, kind: str) -> bool:
    """Whether a host that is there says so."""
    return any(agents.carries(agent.configurations, kind) for agent in agents.hosts(source) if agents.is_alive(agent))


def _reasons(source: Source, kind: str) -> set[str]:
    """What stands in the way of it on the hosts that are there, in their words."""
    said = (agents.missing(agent.configurations, kind) for agent in agents.hosts(source) if agents.is_alive(agent))
    return {words for words in said if words}
