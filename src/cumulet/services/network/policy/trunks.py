# SPDX-License-Identifier: Apache-2.0
"""Rules of trunks."""

from __future__ import annotations

from cumulet.services.network.policy.words import MEMBER, READER

RULES: dict[str, str] = {
    "create_trunk": MEMBER,
    "create_trunk:tags": MEMBER,
    "get_trunk": READER,
    "get_trunk:tags": READER,
    "update_trunk": MEMBER,
    "update_trunk:tags": MEMBER,
    "delete_trunk": MEMBER,
    "delete_trunk:tags": MEMBER,
    "get_subports": READER,
    "add_subports": MEMBER,
    "remove_subports": MEMBER,
}
