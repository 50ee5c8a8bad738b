# SPDX-License-Identifier: Apache-2.0
"""The identity service's HTTP interface."""

from cumulet.kernel.http import Api
from cumulet.services.identity.api import (
    application_credentials,
    auth,
    credentials,
    domains,
    endpoints,
    grants,
    groups,
    implied_roles,
    limits,
    projects,
    regions,
    registered_limits,
    revocations,
    role_assignments,
    roles,
    services,
    tags,
    tokens,
    users,
    versions,
)
from cumulet.services.identity.api.dialect import IdentityDialect
from cumulet.services.identity.api.views import BASE

API = Api(
    service="identity",
    root="/identity",
    bases=(BASE,),
    routes=(
        *versions.ROUTES,
        *tokens.ROUTES,
        *auth.ROUTES,
        *domains.ROUTES,
        *projects.ROUTES,
        *tags.ROUTES,
        *users.ROUTES,
        *groups.ROUTES,
        *roles.ROUTES,
        *implied_roles.ROUTES,
        *grants.ROUTES,
        *role_assignments.ROUTES,
        *regions.ROUTES,
        *services.ROUTES,
        *endpoints.ROUTES,
        *credentials.ROUTES,
        *application_credentials.ROUTES,
        *registered_limits.ROUTES,
        *limits.ROUTES,
        *revocations.ROUTES,
    ),
    unversioned=versions.UNVERSIONED,
    dialect=IdentityDialect(),
    headers={"Vary": "X-Auth-Token"},
    final_slash=True,
)
