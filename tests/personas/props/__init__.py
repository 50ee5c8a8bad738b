# SPDX-License-Identifier: Apache-2.0
"""How to make what paths name: for each service, a maker by the path up to its first parameter."""

from __future__ import annotations

from collections.abc import Mapping

from personas.props import (
    block_storage,
    compute,
    identity,
    image,
    key_manager,
    network,
    network_agents,
    network_bindings,
    network_flavors,
    network_floating,
    network_groups,
    network_qos,
    network_sharing,
    network_topologies,
    network_trunks,
    placement,
)
from personas.stage import Maker

MAKERS: Mapping[str, Mapping[str, Maker]] = {
    "block_storage": block_storage.MAKERS,
    "compute": compute.MAKERS,
    "identity": identity.MAKERS,
    "image": image.MAKERS,
    "key_manager": key_manager.MAKERS,
    "network": {
        **network.MAKERS,
        **network_agents.MAKERS,
        **network_flavors.MAKERS,
        **network_bindings.MAKERS,
        **network_groups.MAKERS,
        **network_sharing.MAKERS,
        **network_qos.MAKERS,
        **network_topologies.MAKERS,
        **network_trunks.MAKERS,
        **network_floating.MAKERS,
    },
    "placement": placement.MAKERS,
}
