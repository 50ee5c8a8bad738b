# SPDX-License-Identifier: Apache-2.0
"""The kinds of resources that there are: what finding, visibility and quotas read."""

from __future__ import annotations

from cumulet.services.network.store.kinds import (
    address_groups,
    address_scopes,
    agents,
    conntrack_helpers,
    core,
    flavors,
    group_defaults,
    local_ips,
    metering,
    ndp_proxies,
    packet_logs,
    port_forwardings,
    qos,
    rbac_policies,
    segments,
    trunks,
)
from cumulet.services.network.store.kinds.base import Kept, Kind, Row

KINDS: tuple[Kind, ...] = (
    *core.KINDS,
    *address_scopes.KINDS,
    *rbac_policies.KINDS,
    *address_groups.KINDS,
    *group_defaults.KINDS,
    *qos.KINDS,
    *trunks.KINDS,
    *agents.KINDS,
    *flavors.KINDS,
    *port_forwardings.KINDS,
    *conntrack_helpers.KINDS,
    *ndp_proxies.KINDS,
    *segments.KINDS,
    *metering.KINDS,
    *packet_logs.KINDS,
    *local_ips.KINDS,
)
_OF = {kind.row: kind for kind in KINDS}

__all__ = ["KINDS", "Kept", "Kind", "Row", "of"]


def of(row: type) -> Kind:
    """The kind whose rows these are."""
    return _OF[row]
