# SPDX-License-Identifier: Apache-2.0
"""How to make what paths name: for each service, a maker by the path up to its first parameter."""

from __future__ import annotations

from collections.abc import Mapping

from personas.props import (
    block_backups,
    block_storage,
    block_storage_encryption,
    block_storage_groups,
    block_storage_qos,
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
    network_local_ips,
    network_metering,
    network_packet_logs,
    network_qos,
    network_segments,
    network_sharing,
    network_topologies,
    network_trunks,
    placement,
)
from personas.stage import Maker

MAKERS: Mapping[str, Mapping[str, Maker]] = {
    "block_storage": {
        **block_storage.MAKERS,
        **block_backups.MAKERS,
        **block_storage_encryption.MAKERS,
        **block_storage_groups.MAKERS,
        **block_storage_qos.MAKERS,
    },
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
        **network_local_ips.MAKERS,
        **network_metering.MAKERS,
        **network_segments.MAKERS,
        **network_packet_logs.MAKERS,
    },
    "placement": placement.MAKERS,
}
