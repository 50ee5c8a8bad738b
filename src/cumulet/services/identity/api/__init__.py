# SPDX-License-Identifier: Apache-2.0
"""The identity service's HTTP interface."""

from cumulet.kernel.http import Api
from cumulet.services.identity.api import regions
from cumulet.services.identity.api.dialect import IdentityDialect
from cumulet.services.identity.api.views import BASE

API = Api(
    service="identity",
    root="/identity",
    bases=(BASE,),
    routes=(*regions.ROUTES,),
    dialect=IdentityDialect(),
)
