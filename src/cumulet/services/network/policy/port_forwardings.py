# SPDX-License-Identifier: Apache-2.0
"""Rules of port forwardings and of floating IPs' pools."""

from __future__ import annotations

from cumulet.services.network.policy.words import READER

_PARENTS_MEMBER = "(rule:admin_only) or (role:member and rule:ext_parent_owner)"
_PARENTS_READER = "(rule:admin_only) or (role:reader and rule:ext_parent_owner)"

RULES: dict[str, str] = {
    "create_floatingip_port_forwarding": _PARENTS_MEMBER,
    "get_floatingip_port_forwarding": _PARENTS_READER,
    "update_floatingip_port_forwarding": _PARENTS_MEMBER,
    "delete_floatingip_port_forwarding": _PARENTS_MEMBER,
    "get_floatingip_pool": READER,
}
