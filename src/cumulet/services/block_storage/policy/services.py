# SPDX-License-Identifier: Apache-2.0
"""Who may see and steer services, hosts, pools and capabilities."""

from __future__ import annotations

from cumulet.services.block_storage.policy.words import ADMIN

RULES = {
    "volume_extension:capabilities": ADMIN,
    "volume_extension:services:index": ADMIN,
    "volume_extension:services:update": ADMIN,
    "volume:freeze_host": ADMIN,
    "volume:thaw_host": ADMIN,
    "volume:failover_host": ADMIN,
    "scheduler_extension:scheduler_stats:get_pools": ADMIN,
    "volume_extension:hosts": ADMIN,
    "clusters:get_all": ADMIN,
    "clusters:get": ADMIN,
    "clusters:update": ADMIN,
    "workers:cleanup": ADMIN,
}
