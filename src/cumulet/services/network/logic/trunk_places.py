# SPDX-License-Identifier: Apache-2.0
"""Where subports are: with the port in whose trunk they are, and their trunk's status as the host there says."""

from __future__ import annotations

from collections.abc import Iterable

from cumulet.kernel.db import Source, Tx
from cumulet.services.network.store import common
from cumulet.services.network.store import trunks as store
from cumulet.services.network.types import ACTIVE, DOWN, OWNER_SUBPORT, Port
from cumulet.services.network.types.trunks import DEGRADED, Trunk


def subports(source: Source, ports: Iterable[Port]) -> list[Port]:
    """The subports of the trunks whose parents are among these ports. Nothing is asked where none is in a trunk."""
    inside = [port.id for port in ports if port.trunk_id is not None]
    keys = [each.port_id for each in store.details(source, inside)] if inside else []
    return list(common.by_id(source, Port, keys).values()) if keys else []


def hold(tx: Tx, keys: Iterable[str]) -> None:
    """Nobody else changes what is in these trunks, or where their parents are, before the transaction's end."""
    for key in sorted(keys):
        tx.lock(f"network:trunk:{key}")


def of_parent(source: Source, port: Port) -> Port | None:
    """The parent of the trunk that the port is in, unless it is that itself."""
    trunk = common.find(source, Trunk, port.trunk_id) if port.trunk_id is not None else None
    return common.find(source, Port, trunk.port_id) if trunk is not None and trunk.port_id != port.id else None


def taken_in(tx: Tx, keys: list[str]) -> list[Port]:
    """Ports become subports that a host is to have: they belong to the trunk now. The ports."""
    common.set_quietly(tx, Port, keys, {"device_owner": OWNER_SUBPORT})
    return list(common.by_id(tx, Port, keys).values())


def left(tx: Tx, keys: list[str]) -> None:
    """Ports are in no trunk any more: they belong to nobody, and no host has them."""
    unbound = {"host": "", "vif_type": None, "vif_details": None, "status": DOWN}
    held = [port.id for port in common.by_id(tx, Port, keys).values() if port.device_owner == OWNER_SUBPORT]
    if held:
        common.set_quietly(tx, Port, held, {"device_owner": "", **unbound})


def parted(tx: Tx, parents: Iterable[Port]) -> None:
    """The parents are on no host any more, or on the way to another: their trunks are down."""
    inside = [port.id for port in parents if port.trunk_id is not None]
    trunks = list(store.parents(tx, inside).values()) if inside else []
    if trunks:
        common.set_quietly(tx, Trunk, trunks, {"status": DOWN})


def told(tx: Tx, inside: Iterable[str], standing: set[str]) -> None:
    """A host says which of its ports are `standing`; `inside` are those of them all that are in trunks.

    A trunk is as its parent is; where subports are missing that are switched on, it is degraded.
    """
    parents = {trunk: port for port, trunk in store.parents(tx, inside).items()}
    held = store.subports(tx, parents)
    ports = common.by_id(tx, Port, {each.port_id for listed in held.values() for each in listed})
    for trunk in common.by_id(tx, Trunk, parents).values():
        own = (ports[each.port_id] for each in held[trunk.id] if each.port_id in ports)
        wanted = {port.id for port in own if port.admin_state_up}
        status = ACTIVE if wanted <= standing else DEGRADED
        if parents[trunk.id] not in standing:
            status = DOWN
        if trunk.status != status:
            common.set_quietly(tx, Trunk, [trunk.id], {"status": status})
