# SPDX-License-Identifier: Apache-2.0
"""The key manager's HTTP interface."""

from cumulet.kernel.http import Api
from cumulet.services.key_manager.api import (
    acls,
    consumers,
    containers,
    metadata,
    orders,
    payloads,
    quotas,
    secret_stores,
    secrets,
    transport_keys,
    versions,
)
from cumulet.services.key_manager.api.common import BASE
from cumulet.services.key_manager.api.dialect import MICROVERSIONS, KeyManagerDialect

API = Api(
    service="key_manager",
    root="/key-manager",
    bases=(BASE,),
    routes=(
        *versions.ROUTES,
        *secrets.ROUTES,
        *payloads.ROUTES,
        *metadata.ROUTES,
        *acls.ROUTES,
        *consumers.ROUTES,
        *containers.ROUTES,
        *orders.ROUTES,
        *quotas.ROUTES,
        *secret_stores.ROUTES,
        *transport_keys.ROUTES,
    ),
    unversioned=versions.UNVERSIONED,
    dialect=KeyManagerDialect(),
    microversions=MICROVERSIONS,
    body_limit=25_000,
    final_slash=True,
)
