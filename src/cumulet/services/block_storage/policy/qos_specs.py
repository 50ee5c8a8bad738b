# SPDX-License-Identifier: Apache-2.0
"""Who may do what with QoS specs."""

from __future__ import annotations

from cumulet.services.block_storage.policy.words import ADMIN

RULES = {
    "volume_extension:qos_specs_manage:get_all": ADMIN,
    "volume_extension:qos_specs_manage:get": ADMIN,
    "volume_extension:qos_specs_manage:create": ADMIN,
    "volume_extension:qos_specs_manage:update": ADMIN,
    "volume_extension:qos_specs_manage:delete": ADMIN,
}
