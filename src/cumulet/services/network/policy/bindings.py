# SPDX-License-Identifier: Apache-2.0
"""Rules of ports' bindings."""

from __future__ import annotations

RULES: dict[str, str] = {
    "get_port_binding": "(rule:admin_only) or (rule:service_api)",
    "create_port_binding": "rule:service_api",
    "delete_port_binding": "rule:service_api",
    "activate": "rule:service_api",
}
