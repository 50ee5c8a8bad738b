# SPDX-License-Identifier: Apache-2.0
"""Rules of NDP proxies."""

from __future__ import annotations

from cumulet.services.network.policy.words import MEMBER, READER

RULES: dict[str, str] = {
    "create_ndp_proxy": MEMBER,
    "get_ndp_proxy": READER,
    "update_ndp_proxy": MEMBER,
    "delete_ndp_proxy": MEMBER,
}
