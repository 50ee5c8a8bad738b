# SPDX-License-Identifier: Apache-2.0
"""Whether what plugs ports in carries guests' own tags through a network."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.services.network.contract import TagDriver
from cumulet.services.network.logic import mechanisms
from cumulet.services.network.logic.faults import bad, fault

_REFUSALS = {"vlan_transparent": "VlanTransparencyDriverError", "qinq": "VlanQinqDriverError"}


def check(cloud: Cloud, values: dict[str, Any], kinds: list[str]) -> None:
    """Refuse (400) a network of these types that asks for what no driver does, or a driver does not let be."""
    wanted = [name for name in _REFUSALS if values.get(name)]
    if len(wanted) > 1:
        raise bad("network", "Attributes 'vlan_transparent' and 'qinq' can not be set to True for the same network.")
    for name in wanted:
        if not _is_carried(cloud, name, kinds):
            raise fault(_REFUSALS[name])


def _is_carried(cloud: Cloud, name: str, kinds: list[str]) -> bool:
    drivers = [mechanisms.find(driver) for driver in cloud.settings.network.mechanism_drivers]
    words = [driver.carries(name, kinds) for driver in drivers if isinstance(driver, TagDriver)]
    return any(words) and False not in words
