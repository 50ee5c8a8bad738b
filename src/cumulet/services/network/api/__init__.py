# SPDX-License-Identifier: Apache-2.0
"""The network service's HTTP interface."""

from cumulet.kernel.http import Api
from cumulet.services.network.api import discovery, quotas, routers, subnet_pools, tags
from cumulet.services.network.api.agents import AGENTS
from cumulet.services.network.api.dialect import NetworkDialect
from cumulet.services.network.api.floating_ips import FLOATING_IPS
from cumulet.services.network.api.networks import NETWORKS
from cumulet.services.network.api.ports import PORTS
from cumulet.services.network.api.security_groups import SECURITY_GROUP_RULES, SECURITY_GROUPS
from cumulet.services.network.api.subnets import SUBNETS

_RESOURCES = (
    NETWORKS,
    SUBNETS,
    subnet_pools.SUBNET_POOLS,
    PORTS,
    routers.ROUTERS,
    FLOATING_IPS,
    SECURITY_GROUPS,
    SECURITY_GROUP_RULES,
    AGENTS,
)

API = Api(
    service="network",
    root="/network",
    bases=("/v2.0",),
    routes=(
        *(route for resource in _RESOURCES for route in resource.routes()),
        *routers.ROUTES,
        *subnet_pools.ROUTES,
        *quotas.ROUTES,
        *tags.ROUTES,
        *discovery.ROUTES,
    ),
    dialect=NetworkDialect(),
    unversioned=discovery.UNVERSIONED,
    final_slash=True,
)
