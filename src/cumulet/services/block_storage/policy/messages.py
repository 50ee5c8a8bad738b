# SPDX-License-Identifier: Apache-2.0
"""Who may read messages."""

from __future__ import annotations

from cumulet.services.block_storage.policy.words import MEMBER, READER

RULES = {
    "message:get_all": READER,
    "message:get": READER,
    "message:delete": MEMBER,
}
