# SPDX-License-Identifier: Apache-2.0
"""What can be done with trunks.

A port's `trunk_id` says that it is in a trunk, as its parent or as a subport; which of the two, the trunk says.
"""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import CumuletError
from cumulet.services.network.logic import access, binding, quotas, trunk_places
from cumulet.services.network.logic.faults import fault, invalid
from cumulet.services.network.store import common, visibility
from cumulet.services.network.store import trunks as store
from cumulet.services.network.types import DOWN, Network, Port
from cumulet.services.network.types.trunks import SEGMENTATION_INHERIT, SEGMENTATION_VLAN, SubPort, Trunk

LAST_VLAN = 4094
_PLAIN = ("name", "admin_state_up", "description")
Wanted = dict[str, Any]  # a subport as it is asked for


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> Trunk:
    """A new trunk on a port that nothing runs on, with the subports asked for."""
    quotas.take(cloud, tx, values["project_id"], trunk=1)
    parent = _parent(tx, ctx, values["port_id"])
    key = ids.new_uuid()
    made = _checked(tx, ctx, key, parent, values["sub_ports"])
    now = clock.utcnow()
    trunk = Trunk(
        id=key,
        project_id=values["project_id"],
        name=values["name"],
        port_id=parent.id,
        admin_state_up=values["admin_state_up"],
        status=DOWN,
        description=values["description"],
        tags=[],
        revision_number=0,  # they are the only ones that Neutron counts from there
        created_at=now,
        updated_at=now,
        **common.optional(Trunk, values),
    )
    common.add(tx, trunk)
    _join(tx, trunk, [parent.id], made)
    return trunk


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> Trunk:
    """Change words, and whether the trunk may be changed."""
    changes = {name: values[name] for name in _PLAIN if name in values} | common.optional(Trunk, values)
    common.change(tx, Trunk, key, changes)
    return access.must(tx, Trunk, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a trunk whose parent no host has; its ports stay."""
    trunk = access.must(tx, Trunk, key)
    _check_enabled(trunk)
    if access.must(tx, Port, trunk.port_id).host:
        raise fault("TrunkInUse", id=key)
    _dissolve(tx, [key])


def add(cloud: Cloud, tx: Tx, ctx: Context, key: str, wanted: list[Wanted]) -> Trunk:
    """Put ports into the trunk; the host that has its parent gets them too."""
    trunk_places.hold(tx, [key])
    trunk = access.must(tx, Trunk, key)
    parent = access.must(tx, Port, trunk.port_id)
    made = _checked(tx, ctx, key, parent, wanted)
    _check_enabled(trunk)
    _join(tx, trunk, [], made)
    if parent.host and made:
        binding.follow(cloud, tx, [parent], parent.host)
    common.set_quietly(tx, Trunk, [key], {"status": DOWN, "updated_at": clock.utcnow()})
    return access.must(tx, Trunk, key)


def remove(tx: Tx, key: str, port_ids: list[str]) -> Trunk:
    """Take ports out of the trunk."""
    trunk_places.hold(tx, [key])
    held = {each.port_id for each in store.subports(tx, [key])[key]}
    for port_id in port_ids:
        if port_id not in held:
            raise fault("SubPortNotFound", id=key, port_id=port_id)
    _part(tx, port_ids)
    common.set_quietly(tx, Trunk, [key], {"status": DOWN, "updated_at": clock.utcnow()})
    return access.must(tx, Trunk, key)


def check_enabled(source: Source, key: str) -> None:
    """Refuse (TrunkDisabled) to change what is in a trunk that is switched off."""
    _check_enabled(access.must(source, Trunk, key))


def in_use(tx: Tx, port: Port) -> CumuletError:
    """Why a port that is in a trunk cannot be deleted."""
    name = "PortInUseAsTrunkParent" if port.id in store.parents(tx, [port.id]) else "PortInUseAsSubPort"
    return fault(name, port_id=port.id, id=port.trunk_id)


def forget(tx: Tx, gone: list[Port]) -> None:
    """Ports go, whatever they are: so do the trunks whose parents they are, and their places in others'."""
    inside = [port.id for port in gone if port.trunk_id is not None]
    if inside:
        _dissolve(tx, list(store.parents(tx, inside).values()))
        store.remove(tx, inside)


def _parent(tx: Tx, ctx: Context, key: str) -> Port:
    """The port, where it may become a trunk's parent."""
    port = access.get(tx, ctx, Port, key)
    _check_free(tx, port)
    if port.host:
        raise fault("ParentPortInUse", port_id=key)
    return port


def _check_free(tx: Tx, port: Port) -> None:
    if port.trunk_id is not None:
        name = "ParentPortInUse" if port.id in store.parents(tx, [port.id]) else "TrunkPortInUse"
        raise fault(name, port_id=port.id)


def _check_enabled(trunk: Trunk) -> None:
    if not trunk.admin_state_up:
        raise fault("TrunkDisabled", id=trunk.id)


def _checked(tx: Tx, ctx: Context, key: str, parent: Port, wanted: list[Wanted]) -> list[SubPort]:
    """The subports asked for, each checked against the parent and the others of the trunk."""
    if not wanted:
        return []
    asked = [item["port_id"] for item in wanted]
    seen = {port.id: port for port in visibility.find_visible(tx, ctx, Port, access.sees_all(ctx), id=asked)}
    networks = common.by_id(tx, Network, {parent.network_id, *(port.network_id for port in seen.values())})
    taken = {(each.segmentation_type, each.segmentation_id) for each in store.subports(tx, [key])[key]}
    made = []
    for item in wanted:
        port = seen.get(item["port_id"])
        if item["port_id"] == parent.id:
            raise fault("ParentPortInUse", port_id=parent.id)
        if port is not None:
            _check_mtu(port, networks[port.network_id], parent, networks[parent.network_id])
        kind, number = _segment(item, networks[port.network_id] if port is not None else None)
        if port is None:
            raise fault("PortNotFound", id=item["port_id"])
        _check_free(tx, port)
        if port.device_id:
            raise fault("PortInUse", id=port.id, network_id=port.network_id, device_id=port.device_id)
        if (kind, number) in taken:
            raise fault("DuplicateSubPort", type=kind, number=number, id=key)
        taken.add((kind, number))
        made.append(SubPort(port.id, key, kind, number))
    return made


def _check_mtu(port: Port, network: Network, parent: Port, carrier: Network) -> None:
    """Frames of the subport have to fit through its parent."""
    if network.mtu > carrier.mtu:
        raise fault(
            "SubPortMtuGreaterThanTrunkPortMtu",
            port_id=port.id,
            port_mtu=network.mtu,
            trunk_mtu=carrier.mtu,
            id=parent.id,
        )


def _segment(item: Wanted, network: Network | None) -> tuple[str, int]:
    """Type and number of the tag, those of the port's network where they are inherited."""
    kind, number = item.get("segmentation_type"), item.get("segmentation_id")
    if kind == SEGMENTATION_INHERIT and network is not None:
        kind, number = network.network_type, network.segment_number or 0
    if kind is None or number is None:
        raise invalid(
            f"Invalid subport details '{item}': missing segmentation information. Must specify both segmentation_id "
            "and segmentation_type"
        )
    try:
        tag = int(number)
    except (TypeError, ValueError, OverflowError):
        raise invalid(f"Invalid subport details: segmentation_id '{number}' is not an integer") from None
    if kind != SEGMENTATION_VLAN:
        raise invalid(f"Unknown segmentation_type '{kind}'")
    if not 1 <= tag <= LAST_VLAN:
        raise invalid(f"Segmentation ID '{tag}' is not in range")
    return kind, tag


def _join(tx: Tx, trunk: Trunk, parents: list[str], made: list[SubPort]) -> None:
    store.add(tx, *made)
    common.set_quietly(tx, Port, [*parents, *(each.port_id for each in made)], {"trunk_id": trunk.id})


def _part(tx: Tx, port_ids: list[str]) -> None:
    store.remove(tx, port_ids)
    common.set_quietly(tx, Port, port_ids, {"trunk_id": None})
    trunk_places.left(tx, port_ids)


def _dissolve(tx: Tx, keys: list[str]) -> None:
    """Remove trunks; their ports are ports like any other again."""
    held = store.subports(tx, keys)
    parents = [trunk.port_id for trunk in common.by_id(tx, Trunk, keys).values()]
    _part(tx, [*parents, *(each.port_id for listed in held.values() for each in listed)])
    common.remove(tx, Trunk, keys)
