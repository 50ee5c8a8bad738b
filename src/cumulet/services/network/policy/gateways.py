# SPDX-License-Identifier: Apache-2.0
"""Rules of routers' several gateways, and of what of them leads out."""

from __future__ import annotations

from cumulet.services.network.policy.words import ADMIN, MEMBER

RULES: dict[str, str] = {
    "create_router:enable_default_route_bfd": ADMIN,
    "create_router:enable_default_route_ecmp": ADMIN,
    "update_router:enable_default_route_bfd": ADMIN,
    "update_router:enable_default_route_ecmp": ADMIN,
    "add_external_gateways": MEMBER,
    "add_external_gateways:external_gateways": MEMBER,
    "add_external_gateways:external_gateways:network_id": MEMBER,
    "add_external_gateways:external_gateways:enable_snat": ADMIN,
    "add_external_gateways:external_gateways:external_fixed_ips": ADMIN,
    "update_external_gateways": MEMBER,
    "update_external_gateways:external_gateways": MEMBER,
    "update_external_gateways:external_gateways:network_id": MEMBER,
    "update_external_gateways:external_gateways:enable_snat": ADMIN,
    "update_external_gateways:external_gateways:external_fixed_ips": ADMIN,
    "remove_external_gateways": MEMBER,
    "remove_external_gateways:external_gateways": MEMBER,
}
