# SPDX-License-Identifier: Apache-2.0
"""Refusals of flavors and service profiles."""

from __future__ import annotations

from cumulet.kernel.errors import Conflict, CumuletError, Invalid, NotFound, NotReady

FAULTS: dict[str, tuple[type[CumuletError], str]] = {
    "FlavorNotFound": (NotFound, "Flavor {id} could not be found."),
    "FlavorInUse": (Conflict, "Flavor {id} is used by some service instance."),
    "ServiceProfileNotFound": (NotFound, "Service Profile {id} could not be found."),
    "ServiceProfileInUse": (Conflict, "Service Profile {id} is used by some service instance."),
    "ServiceProfileDriverNotFound": (NotFound, "Service Profile driver {driver} could not be found."),
    "ServiceProfileEmpty": (Invalid, "Service Profile needs either a driver or metainfo."),
    "ServiceProfileDisabled": (NotReady, "Service Profile is not enabled."),
    "FlavorServiceProfileBindingExists": (
        Conflict,
        "Service Profile {id} is already associated with flavor {flavor_id}.",
    ),
    "FlavorServiceProfileBindingNotFound": (
        NotFound,
        "Service Profile {id} is not associated with flavor {flavor_id}.",
    ),
    "InvalidServiceType": (Invalid, "Invalid service type: {service_type}."),
}
