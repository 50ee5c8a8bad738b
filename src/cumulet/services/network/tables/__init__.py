# SPDX-License-Identifier: Apache-2.0
"""The tables of the network service, columns named and ordered as the row Structs' fields in `types`."""

from __future__ import annotations

from cumulet.services.network.tables.address_groups import address_group
from cumulet.services.network.tables.address_scopes import address_scope
from cumulet.services.network.tables.agents import dhcp_choice, host_agent
from cumulet.services.network.tables.base import metadata
from cumulet.services.network.tables.bindings import port_binding
from cumulet.services.network.tables.conntrack_helpers import conntrack_helper
from cumulet.services.network.tables.core import (
    agent,
    allocation,
    epoch,
    floating_ip,
    membership,
    network,
    port,
    quota,
    router,
    security_group,
    security_group_rule,
    subnet,
    subnet_pool,
)
from cumulet.services.network.tables.flavors import flavor, flavor_profile, service_profile
from cumulet.services.network.tables.group_defaults import default_group_rule, default_statefulness
from cumulet.services.network.tables.ha import ha_network, router_place, router_reach
from cumulet.services.network.tables.local_ips import local_ip, local_ip_association
from cumulet.services.network.tables.metering import meter_report, metering_label, metering_label_rule
from cumulet.services.network.tables.ndp_proxies import ndp_proxy
from cumulet.services.network.tables.packet_logs import packet_log
from cumulet.services.network.tables.port_forwardings import port_forwarding
from cumulet.services.network.tables.qos import qos_policy, qos_rule
from cumulet.services.network.tables.rbac_policies import rbac_policy
from cumulet.services.network.tables.segment_ranges import segment_range
from cumulet.services.network.tables.segments import segment
from cumulet.services.network.tables.topologies import topology
from cumulet.services.network.tables.trunks import subport, trunk

__all__ = [
    "address_group",
    "address_scope",
    "agent",
    "allocation",
    "conntrack_helper",
    "default_group_rule",
    "default_statefulness",
    "dhcp_choice",
    "epoch",
    "flavor",
    "flavor_profile",
    "floating_ip",
    "ha_network",
    "host_agent",
    "local_ip",
    "local_ip_association",
    "membership",
    "metadata",
    "meter_report",
    "metering_label",
    "metering_label_rule",
    "ndp_proxy",
    "network",
    "packet_log",
    "port",
    "port_binding",
    "port_forwarding",
    "qos_policy",
    "qos_rule",
    "quota",
    "rbac_policy",
    "router",
    "router_place",
    "router_reach",
    "security_group",
    "security_group_rule",
    "segment",
    "segment_range",
    "service_profile",
    "subnet",
    "subnet_pool",
    "subport",
    "topology",
    "trunk",
]
