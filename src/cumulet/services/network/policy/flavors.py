# SPDX-License-Identifier: Apache-2.0
"""Rules of flavors and service profiles."""

from __future__ import annotations

from cumulet.services.network.policy.words import ADMIN, READER

RULES: dict[str, str] = {
    "create_flavor": ADMIN,
    "get_flavor": "role:reader",
    "update_flavor": ADMIN,
    "delete_flavor": ADMIN,
    "create_service_profile": ADMIN,
    "get_service_profile": ADMIN,
    "update_service_profile": ADMIN,
    "delete_service_profile": ADMIN,
    "create_flavor_service_profile": ADMIN,
    "get_flavor_service_profile": READER,
    "delete_flavor_service_profile": ADMIN,
}
