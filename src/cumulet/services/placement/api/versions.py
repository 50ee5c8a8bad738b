# SPDX-License-Identifier: Apache-2.0
"""`/`: the versions of the API, for whoever asks."""

from __future__ import annotations

from cumulet.kernel.http import PUBLIC, Reply, Request, Route
from cumulet.kernel.http.microversions import text
from cumulet.services.placement.api.dialect import MICROVERSIONS
from cumulet.services.placement.api.views import reply


def find_all(request: Request) -> Reply:
    least, most = text(MICROVERSIONS.least), text(MICROVERSIONS.most)
    version = {
        "id": f"v{least}",
        "max_version": most,
        "min_version": least,
        "status": "CURRENT",
        "links": [{"rel": "self", "href": ""}],
    }
    return reply(request, 200, {"versions": [version]})


ROUTES = (Route("GET", "/", find_all, PUBLIC),)
