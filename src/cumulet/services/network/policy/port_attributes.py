# SPDX-License-Identifier: Apache-2.0
"""Rules of what ports say for those who plug them in."""

from __future__ import annotations

from cumulet.services.network.policy.words import ADMIN

RULES: dict[str, str] = {
    "create_port:hints": ADMIN,
    "create_port:trusted": ADMIN,
    "get_port:hints": ADMIN,
    "get_port:trusted": ADMIN,
    "update_port:data_plane_status": "rule:admin_only or role:data_plane_integrator",
    "update_port:hints": ADMIN,
    "update_port:trusted": ADMIN,
}
