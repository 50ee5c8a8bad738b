# SPDX-License-Identifier: Apache-2.0
"""Who may do what by default: Neutron's rule names, defaults and scopes (its 2026.2 release, new defaults only)."""

from __future__ import annotations

from cumulet.services.network.policy import (
    address_groups,
    address_scopes,
    agents,
    bindings,
    conntrack_helpers,
    core,
    flavors,
    gateways,
    group_defaults,
    ha,
    local_ips,
    metering,
    ndp_proxies,
    packet_logs,
    port_attributes,
    port_forwardings,
    qos,
    rbac_policies,
    segments,
    topologies,
    trunks,
)

RULES: dict[str, str] = {
    **core.RULES,
    **port_attributes.RULES,
    **address_scopes.RULES,
    **rbac_policies.RULES,
    **address_groups.RULES,
    **qos.RULES,
    **trunks.RULES,
    **bindings.RULES,
    **group_defaults.RULES,
    **port_forwardings.RULES,
    **topologies.RULES,
    **conntrack_helpers.RULES,
    **agents.RULES,
    **flavors.RULES,
    **gateways.RULES,
    **ndp_proxies.RULES,
    **metering.RULES,
    **segments.RULES,
    **packet_logs.RULES,
    **ha.RULES,
    **local_ips.RULES,
}

_VERBS = ("create_", "get_", "update_", "delete_", "add_", "remove_", "onboard_", "activate")

SCOPES = dict.fromkeys((name for name in RULES if name.startswith(_VERBS)), ("project",))
