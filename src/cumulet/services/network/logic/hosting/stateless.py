# SPDX-License-Identifier: Apache-2.0
"""Security groups that know no connections."""

from __future__ import annotations

import msgspec

from cumulet.kernel.db import Source
from cumulet.services.network.logic.hosting.base import Feature, Snapshot
from cumulet.services.network.store import security_groups
from cumulet.services.network.types import HostState


class Stateless(Feature):
    """Under `stateless`: their ids."""

    def take(self, source: Source, rows: Snapshot) -> None:
        rows.more["stateless"] = security_groups.stateless(source, rows.rules)

    def add(self, rows: Snapshot, state: HostState) -> HostState:
        found = rows.more.get("stateless")
        if not found:
            return state
        groups = [
            msgspec.structs.replace(group, stateful=False) if group.id in found else group for group in state.groups
        ]
        return msgspec.structs.replace(state, groups=groups)
