# SPDX-License-Identifier: Apache-2.0
"""Where the work at hand comes from: the request that the running thread serves, for what writes down who did what."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Protocol

from cumulet.kernel.context import Context


class Origin(Protocol):
    """A request as far as others may know of it; `headers` have lower-case names, `client` is an address."""

    client: str
    headers: Mapping[str, str]
    request_id: str
    ctx: Context


# The pipeline sets it; None in loops, flows and commands, which no request began.
current: ContextVar[Origin | None] = ContextVar("origin", default=None)
