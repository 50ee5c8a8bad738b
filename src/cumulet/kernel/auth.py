# SPDX-License-Identifier: Apache-2.0
"""From a token to a context: what the pipeline needs of whoever keeps identities."""

from __future__ import annotations

from typing import Protocol

from cumulet.kernel.context import Context


class Authenticator(Protocol):
    """Bound to the identity service in `app.py`."""

    def context(self, token: str, service_token: str | None = None) -> Context:
        """The caller of a valid token; raises Unauthorized for any other. `service_token` vouches for the carrier."""
