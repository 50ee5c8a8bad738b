# SPDX-License-Identifier: Apache-2.0
"""What was for tokens signed with certificates (PKI), which are no more: paths that say so, as Keystone's do."""

from __future__ import annotations

from cumulet.kernel.errors import Forbidden, Gone
from cumulet.kernel.http import PUBLIC, Reply, Request, Route


def certificates(request: Request) -> Reply:
    raise Gone("This API is no longer available due to the removal of support for PKI tokens.")


def revoked(request: Request) -> Reply:
    raise Forbidden("You are not authorized to perform the requested action.")


ROUTES = (
    Route("GET", "/OS-SIMPLE-CERT/ca", certificates, PUBLIC),
    Route("GET", "/OS-SIMPLE-CERT/certificates", certificates, PUBLIC),
    Route("GET", "/auth/tokens/OS-PKI/revoked", revoked, PUBLIC),
)
