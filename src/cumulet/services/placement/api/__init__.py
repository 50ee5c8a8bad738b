# SPDX-License-Identifier: Apache-2.0
"""The placement service's HTTP interface."""

from cumulet.kernel.http import Api
from cumulet.services.placement.api import (
    aggregates,
    allocations,
    candidates,
    classes,
    inventories,
    providers,
    reshaper,
    traits,
    usages,
    versions,
)
from cumulet.services.placement.api.dialect import MICROVERSIONS, PlacementDialect

API = Api(
    service="placement",
    root="/placement",
    bases=("",),
    routes=(
        *versions.ROUTES,
        *providers.ROUTES,
        *inventories.ROUTES,
        *traits.ROUTES,
        *aggregates.ROUTES,
        *classes.ROUTES,
        *allocations.ROUTES,
        *usages.ROUTES,
        *candidates.ROUTES,
        *reshaper.ROUTES,
    ),
    dialect=PlacementDialect(),
    microversions=MICROVERSIONS,
)
