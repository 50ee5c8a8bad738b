# SPDX-License-Identifier: Apache-2.0
"""Questions about local IPs."""

from __future__ import annotations

from sqlalchemy import bindparam, select

from cumulet.kernel.db import Source, sql
from cumulet.services.network import tables

_AT = select(tables.local_ip.c.id).where(tables.local_ip.c.local_port_id == bindparam("port")).limit(1)


def is_at(source: Source, port_id: str) -> bool:
    """Whether a local IP is the port's address."""
    return sql.scalar(source, _AT, {"port": port_id}) is not None
