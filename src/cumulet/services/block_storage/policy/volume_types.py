# SPDX-License-Identifier: Apache-2.0
"""Who may do what with volume types."""

from __future__ import annotations

from cumulet.services.block_storage.policy.words import ADMIN, MEMBER, READER

RULES = {
    "volume_extension:type_create": ADMIN,
    "volume_extension:type_update": ADMIN,
    "volume_extension:type_delete": ADMIN,
    "volume_extension:type_get": READER,
    "volume_extension:type_get_all": READER,
    "volume_extension:access_types_extra_specs": READER,
    "volume_extension:access_types_qos_specs_id": ADMIN,
    "volume_extension:volume_type_access": MEMBER,
    "volume_extension:volume_type_access:addProjectAccess": ADMIN,
    "volume_extension:volume_type_access:removeProjectAccess": ADMIN,
    "volume_extension:volume_type_access:get_all_for_type": ADMIN,
    "volume_extension:types_extra_specs:index": READER,
    "volume_extension:types_extra_specs:create": ADMIN,
    "volume_extension:types_extra_specs:show": READER,
    "volume_extension:types_extra_specs:read_sensitive": ADMIN,
    "volume_extension:types_extra_specs:update": ADMIN,
    "volume_extension:types_extra_specs:delete": ADMIN,
    "volume_extension:default_set_or_update": ADMIN,
    "volume_extension:default_get": ADMIN,
    "volume_extension:default_get_all": ADMIN,
    "volume_extension:default_unset": ADMIN,
}
