# SPDX-License-Identifier: Apache-2.0
"""Whether a browser's page may open a console: browsers let every page open websockets to everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from cumulet.kernel.errors import Forbidden


def check(headers: Mapping[str, str], base: str, allowed: Sequence[str]) -> None:
    """Forbidden unless the page is of the host that was asked, or of one `allowed`, and of the scheme of `base`.

    Programs that are no browsers say no origin, and need none. Where a proxy in front has ended TLS, its
    X-Forwarded-Proto is what counts, as with Nova's proxy.
    """
    origin = headers.get("origin")
    if origin is None:
        return
    name, scheme = _parts(origin)
    scheme = headers.get("x-forwarded-proto", scheme)
    if not name or not scheme:
        raise Forbidden("Origin header not valid.")
    host, _ = _parts(f"//{headers.get('host', '')}")
    if name not in (host, *allowed):
        raise Forbidden("Origin header does not match this host.")
    if scheme != urlsplit(base).scheme:
        raise Forbidden("Origin header protocol does not match this host.")


def _parts(url: str) -> tuple[str, str]:
    """Host and scheme, "" for what is not there."""
    try:
        found = urlsplit(url)
        return found.hostname or "", found.scheme
    except ValueError:
        return "", ""
