# SPDX-License-Identifier: Apache-2.0
"""Rules of routers on several hosts."""

from __future__ import annotations

from cumulet.services.network.policy.words import ADMIN

RULES: dict[str, str] = {
    "create_router:distributed": ADMIN,
    "get_router:distributed": ADMIN,
    "update_router:distributed": ADMIN,
    "create_router:ha": ADMIN,
    "get_router:ha": ADMIN,
    "update_router:ha": ADMIN,
}
