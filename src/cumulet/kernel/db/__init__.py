# SPDX-License-Identifier: Apache-2.0
"""State: one SQL database, read in snapshots, written through one door."""

from cumulet.kernel.db.database import Database
from cumulet.kernel.db.tx import Source, Tx

__all__ = ["Database", "Source", "Tx"]
