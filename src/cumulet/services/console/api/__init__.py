# SPDX-License-Identifier: Apache-2.0
"""The console proxy's HTTP interface: pages for browsers, and the websockets that they open."""

from cumulet.kernel.http import Api
from cumulet.kernel.http.errors import FaultDialect
from cumulet.services.console.api import pages, sockets

API = Api(
    service="console",
    root="/console",
    bases=("",),
    routes=pages.ROUTES,
    websockets=sockets.ROUTES,
    dialect=FaultDialect(),
)
