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
    group_defaults,
    ndp_proxies,
    port_attributes,
    port_forwardings,
    qos,
    rbac_policies,
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
    **ndp_proxies.RULES,
}

_VERBS = ("create_", "get_", "update_", "delete_", "add_", "remove_", "onboard_", "activate")

SCOPES = dict.fromkeys((name for name in RULES if name.startswith(_VERBS)), ("project",))
