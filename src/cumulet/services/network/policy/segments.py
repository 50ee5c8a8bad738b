# SPDX-License-Identifier: Apache-2.0
"""Who may do what with segments, and with ranges of their numbers."""

from __future__ import annotations

from cumulet.services.network.policy.words import ADMIN

RULES = {
    **{f"{verb}_segment": ADMIN for verb in ("create", "get", "update", "delete")},
    **{f"{verb}_subnet:segment_id": ADMIN for verb in ("create", "get", "update")},
    **{
        f"{verb}_network_segment_range{what}": ADMIN
        for verb in ("create", "get", "update", "delete")
        for what in ("", ":tags")
    },
}
