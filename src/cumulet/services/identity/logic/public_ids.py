# SPDX-License-Identifier: Apache-2.0
"""The ids under which everybody knows users and groups who live elsewhere, in directories or at identity providers."""

from __future__ import annotations

import hashlib


def of(domain_id: str, kind: str, local_id: str) -> str:
    """Keystone's id for the `user` or `group` known as `local_id` there: SHA-256, 64 hexadecimal digits."""
    return hashlib.sha256(f"{domain_id}{kind}{local_id}".encode()).hexdigest()
