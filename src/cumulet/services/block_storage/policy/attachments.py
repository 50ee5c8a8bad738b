# SPDX-License-Identifier: Apache-2.0
"""Who may attach volumes."""

from __future__ import annotations

from cumulet.services.block_storage.policy.words import MEMBER

RULES = {
    "volume:attachment_create": MEMBER,
    "volume:attachment_update": MEMBER,
    "volume:attachment_delete": MEMBER,
    "volume:attachment_complete": MEMBER,
}
