# SPDX-License-Identifier: Apache-2.0
"""Auto-allocated topologies, one for each project at most."""

from __future__ import annotations

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network.tables import topology
from cumulet.services.network.types.topologies import Topology


def find(source: Source, project_id: str) -> Topology | None:
    """The project's topology."""
    return sql.find(source, topology, Topology, project_id=project_id)


def add(tx: Tx, row: Topology) -> None:
    sql.add(tx, topology, row)


def remove(tx: Tx, project_id: str) -> None:
    sql.remove(tx, topology, project_id=project_id)
