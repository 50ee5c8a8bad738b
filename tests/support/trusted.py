# SPDX-License-Identifier: Apache-2.0
"""The machine's certificates, read once for the thousands of clients that a test run makes.

Each `httpx.Client` reads them anew, which takes longer than most tests, and keeps a megabyte of them.
"""

from __future__ import annotations

import functools

import httpx
from httpx._transports import default


def share() -> None:
    """Have clients that are made without certificates of their own share one context."""
    usual = functools.cache(httpx.create_ssl_context)

    def create(verify=True, cert=None, trust_env=True):
        if verify is True and cert is None:
            return usual(trust_env=trust_env)
        return httpx.create_ssl_context(verify, cert, trust_env)

    default.create_ssl_context = create
