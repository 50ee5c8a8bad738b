# SPDX-License-Identifier: Apache-2.0
"""The compute service's HTTP interface."""

from cumulet.kernel.http import Api
from cumulet.services.compute.api import (
    aggregates,
    availability_zones,
    extensions,
    external_events,
    flavors,
    hosts,
    hypervisors,
    keypairs,
    limits,
    quotas,
    security_groups,
    server_actions,
    server_details,
    server_groups,
    server_interfaces,
    server_volumes,
    servers,
    services,
    usage,
    versions,
)
from cumulet.services.compute.api.dialect import MICROVERSIONS, ComputeDialect

API = Api(
    service="compute",
    root="/compute",
    bases=("/v2.1", "/v2.1/{project_id}"),
    routes=(
        *servers.ROUTES,
        *server_actions.ROUTES,
        *server_details.ROUTES,
        *server_interfaces.ROUTES,
        *server_volumes.ROUTES,
        *server_groups.ROUTES,
        *external_events.ROUTES,
        *flavors.ROUTES,
        *keypairs.ROUTES,
        *quotas.ROUTES,
        *limits.ROUTES,
        *usage.ROUTES,
        *aggregates.ROUTES,
        *availability_zones.ROUTES,
        *hypervisors.ROUTES,
        *hosts.ROUTES,
        *services.ROUTES,
        *security_groups.ROUTES,
        *extensions.ROUTES,
    ),
    unversioned=versions.UNVERSIONED,
    dialect=ComputeDialect(),
    microversions=MICROVERSIONS,
    request_id_headers=("x-openstack-request-id", "x-compute-request-id"),
    body_limit=114_688,
)
