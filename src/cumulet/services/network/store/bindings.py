# SPDX-License-Identifier: Apache-2.0
"""Bindings of ports: the ports' own, as far as many are asked for, and those to further hosts."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.network.tables import port, port_binding
from cumulet.services.network.types.bindings import BINDING_FAILED, PortBinding
from cumulet.services.network.types.rows import Port


def of_port(source: Source, port_id: str) -> list[PortBinding]:
    """The port's bindings to hosts that are not its own, by host."""
    return sql.find_all(source, port_binding, PortBinding, ("host",), port_id=port_id)


def on_own_hosts(source: Source) -> list[PortBinding]:
    """Those that are to their ports' own hosts, which should be none."""
    query = select(port_binding).join(port, port.c.id == port_binding.c.port_id)
    return sql.rows(source, query.where(port.c.host == port_binding.c.host), PortBinding)


def add(tx: Tx, binding: PortBinding) -> None:
    """Insert one. Raises the database's IntegrityError where the port has one to that host."""
    sql.add(tx, port_binding, binding)


def remove(tx: Tx, port_ids: Iterable[str], host: str) -> None:
    """Delete these ports' bindings to the host."""
    sql.remove(tx, port_binding, port_id=list(port_ids), host=host)


def clear(tx: Tx, port_ids: Iterable[str]) -> None:
    """Delete all of these ports' bindings to further hosts."""
    sql.remove(tx, port_binding, port_id=list(port_ids))


def failed(source: Source, host: str) -> list[Port]:
    """The ports that nothing could plug in on the host."""
    return sql.rows(source, select(port).where(port.c.host == host, port.c.vif_type == BINDING_FAILED), Port)
