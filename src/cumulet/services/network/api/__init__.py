# SPDX-License-Identifier: Apache-2.0
"""The network service's HTTP interface."""

from cumulet.kernel.http import Api
from cumulet.services.network.api import (
    address_groups,
    address_scopes,
    availability,
    bindings,
    conntrack_helpers,
    core,
    discovery,
    dns,
    flavors,
    floating_ip_pools,
    gateways,
    group_defaults,
    ha,
    hosted,
    local_ips,
    metering,
    ndp_proxies,
    packet_logs,
    port_attributes,
    port_forwardings,
    qos,
    rbac_policies,
    segment_ranges,
    segments,
    tags,
    topologies,
    trunks,
)
from cumulet.services.network.api.dialect import NetworkDialect
from cumulet.services.network.api.families import Family

_FAMILIES: tuple[Family, ...] = (
    core.FAMILY,
    port_attributes.FAMILY,
    address_scopes.FAMILY,
    rbac_policies.FAMILY,
    address_groups.FAMILY,
    qos.FAMILY,
    trunks.FAMILY,
    bindings.FAMILY,
    group_defaults.FAMILY,
    dns.FAMILY,
    port_forwardings.FAMILY,
    floating_ip_pools.FAMILY,
    availability.FAMILY,
    topologies.FAMILY,
    conntrack_helpers.FAMILY,
    hosted.FAMILY,
    flavors.FAMILY,
    gateways.FAMILY,
    ndp_proxies.FAMILY,
    metering.FAMILY,
    segment_ranges.FAMILY,
    segments.FAMILY,
    packet_logs.FAMILY,
    ha.FAMILY,
    local_ips.FAMILY,
)
_RESOURCES = tuple(resource for family in _FAMILIES for resource in family.resources)
_EXTENSIONS = {alias: said for family in _FAMILIES for alias, said in family.extensions.items()}

API = Api(
    service="network",
    root="/network",
    bases=("/v2.0",),
    routes=(
        *(route for resource in _RESOURCES for route in resource.routes()),
        *(route for family in _FAMILIES for route in family.routes),
        *(route for resource in _RESOURCES for route in tags.routes(resource)),
        *discovery.Extensions(dict(sorted(_EXTENSIONS.items()))).routes(),
        *discovery.ROUTES,
    ),
    dialect=NetworkDialect(),
    unversioned=discovery.UNVERSIONED,
    final_slash=True,
)
