# SPDX-License-Identifier: Apache-2.0
"""Secrets that people hand on by the command line."""

from __future__ import annotations

from cumulet.kernel import ids


def test_no_secret_looks_like_an_option():
    found = {ids.new_secret() for _ in range(2000)}
    assert len(found) == 2000
    assert not [secret for secret in found if secret.startswith("-") or not 40 < len(secret) < 50]
