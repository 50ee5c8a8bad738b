# SPDX-License-Identifier: Apache-2.0
"""What `httpx` does in vain for each of the tests' requests, which takes as long as the answer of the cloud."""

from __future__ import annotations

import functools

import httpx
from httpx import _urls


def use() -> None:
    """Read each URL once, and look for cookies only in answers that have some."""
    _urls.urlparse = functools.lru_cache(1024)(_urls.urlparse)
    extract = httpx.Cookies.extract_cookies

    def extract_if_any(cookies: httpx.Cookies, response: httpx.Response) -> None:
        if "set-cookie" in response.headers:
            extract(cookies, response)

    httpx.Cookies.extract_cookies = extract_if_any  # type: ignore[method-assign]
