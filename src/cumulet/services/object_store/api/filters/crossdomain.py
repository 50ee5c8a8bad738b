# SPDX-License-Identifier: Apache-2.0
"""Which pages of other domains may read what is here: `/crossdomain.xml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.services.object_store.api.message import Go, Request, Response
from cumulet.services.object_store.api.site import Site

EVERYBODY = '<allow-access-from domain="*" secure="false" />'


class CrossDomain:
    """`cross_domain_policy` is what stands in the document."""

    info: Mapping[str, Any] = {"crossdomain": {}}

    def __init__(self, site: Site) -> None:
        policy = site.options.of("crossdomain").get("cross_domain_policy", EVERYBODY)
        self._page = (
            '<?xml version="1.0"?>\n'
            '<!DOCTYPE cross-domain-policy SYSTEM "http://www.adobe.com/xml/dtds/cross-domain-policy.dtd" >\n'
            f"<cross-domain-policy>\n{policy}\n</cross-domain-policy>"
        ).encode()

    async def __call__(self, request: Request, go: Go) -> Response:
        if request.path != "/crossdomain.xml" or request.method != "GET":
            return await go(request)
        return Response(200, {"content-type": "application/xml; charset=UTF-8"}, self._page)
