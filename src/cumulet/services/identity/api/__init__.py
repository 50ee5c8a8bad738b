# SPDX-License-Identifier: Apache-2.0
"""The identity service's HTTP interface."""

from cumulet.kernel.http import Api
from cumulet.services.identity.api import regions, tokens, versions
from cumulet.services.identity.api.dialect import IdentityDialect
from cumulet.services.identity.api.views import BASE

API = Api(
    service="identity",
    root="/identity",
    bases=(BASE,),
    routes=(*versions.ROUTES, *tokens.ROUTES, *regions.ROUTES),
    unversioned=versions.UNVERSIONED,
    dialect=IdentityDialect(),
)
