# SPDX-License-Identifier: Apache-2.0
"""Who may hand volumes over."""

from __future__ import annotations

from cumulet.services.block_storage.policy.words import MEMBER, READER

RULES = {
    "volume:get_all_transfers": READER,
    "volume:create_transfer": MEMBER,
    "volume:get_transfer": READER,
    "volume:accept_transfer": MEMBER,
    "volume:delete_transfer": MEMBER,
}
