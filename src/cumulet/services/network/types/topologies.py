# SPDX-License-Identifier: Apache-2.0
"""The rows of auto-allocated topologies."""

from __future__ import annotations

import msgspec


class Topology(msgspec.Struct, frozen=True):
    """The network that was made for a project at its first wish; `router_id` leads outside, None once that is gone."""

    project_id: str
    network_id: str
    router_id: str | None
