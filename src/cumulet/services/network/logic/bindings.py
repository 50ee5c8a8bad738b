# SPDX-License-Identifier: Apache-2.0
"""What can be done with a port's bindings: one to each host, of which one is the port's own and active."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.services.network.logic import binding, macs, port_attributes
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import bindings as store
from cumulet.services.network.store import common
from cumulet.services.network.types import ACTIVE, DOWN, OWNER_COMPUTE, Port
from cumulet.services.network.types.bindings import BINDING_FAILED, INACTIVE, NO_BINDING, UNBOUND, PortBinding

_OWNERS = (OWNER_COMPUTE, "manila:")


def find_all(source: Source, port: Port) -> list[tuple[PortBinding, str]]:
    """The port's bindings with their status, its own first."""
    _check_owner(port)
    own = [] if _has_none(port) else [(_own(port), ACTIVE)]
    return own + [(found, INACTIVE) for found in store.of_port(source, port.id)]


def get(source: Source, port: Port, host: str) -> tuple[PortBinding, str]:
    """The port's binding to the host; PortBindingNotFound where it has none."""
    for found, status in find_all(source, port):
        if found.host == host:
            return found, status
    raise fault("PortBindingNotFound", id=port.id, host=host)


def create(cloud: Cloud, tx: Tx, port: Port, values: dict[str, Any]) -> tuple[PortBinding, str]:
    """Bind the port to one more host; the binding is the port's own only where it has none."""
    _check_owner(port)
    host = values["host"]
    if any(found.host == host for found, _ in find_all(tx, port)):
        raise fault("PortBindingAlreadyExists", id=port.id, host=host)
    profile = port_attributes.profile(values.get("profile"))
    made = _bound(cloud, tx, port, PortBinding(port.id, host, values["vnic_type"], profile, UNBOUND, {}))
    if _has_none(port):
        return _make_own(cloud, tx, port, made), ACTIVE
    store.add(tx, made)
    common.touch(tx, Port, port.id)
    return made, INACTIVE


def update(cloud: Cloud, tx: Tx, port: Port, host: str, values: dict[str, Any]) -> tuple[PortBinding, str]:
    """Bind anew with what is given; a profile that is not given is emptied, as Neutron does."""
    old, status = get(tx, port, host)
    to = values.get("host", host)
    if to != host and any(found.host == to for found, _ in find_all(tx, port)):
        raise fault("PortBindingAlreadyExists", id=port.id, host=to)
    profile = port_attributes.profile(values.get("profile"))
    new = PortBinding(port.id, to, values.get("vnic_type", old.vnic_type), profile, UNBOUND, {})
    if (new.host, new.vnic_type, new.profile) == (old.host, old.vnic_type, old.profile):
        return old, status
    made = _bound(cloud, tx, port, new)
    if status == ACTIVE:
        return _make_own(cloud, tx, port, made), ACTIVE
    store.remove(tx, [port.id], host)
    store.add(tx, made)
    common.touch(tx, Port, port.id)
    return made, INACTIVE


def delete(cloud: Cloud, tx: Tx, port: Port, host: str) -> None:
    """Take the binding to the host away; a port that loses its own is unbound until it gets another."""
    _, status = get(tx, port, host)
    if status == ACTIVE:
        nothing: dict[str, Any] = {"host": "", "profile": {}, "vif_type": NO_BINDING, "vif_details": None}
        common.change(tx, Port, port.id, {**nothing, "status": DOWN})
        binding.follow(cloud, tx, [port], "")
    else:
        store.remove(tx, [port.id], host)
        common.touch(tx, Port, port.id)


def activate(cloud: Cloud, tx: Tx, port: Port, host: str) -> PortBinding:
    """Make the binding to the host the port's own; the one that was is kept, inactive and unbound."""
    _check_owner(port)
    chosen, status = get(tx, port, host)
    if status == ACTIVE:
        raise fault("PortBindingAlreadyActive", id=port.id, host=host)
    store.remove(tx, [port.id], host)
    if not _has_none(port):
        store.add(tx, msgspec.structs.replace(_own(port), vif_type=UNBOUND, vif_details={}))
    return _make_own(cloud, tx, port, chosen)


def _check_owner(port: Port) -> None:
    if not port.device_owner.startswith(_OWNERS):
        reason = f"Invalid port {port.id}. Operation only valid on compute and shared filesystem ports"
        raise bad("port", reason)


def _has_none(port: Port) -> bool:
    """Whether the port's own binding was taken away; one that was never bound has an empty one."""
    return not port.host and port.vif_type == NO_BINDING


def _own(port: Port) -> PortBinding:
    vif = binding.vif_type(port), binding.vif_details(port)
    return PortBinding(port.id, port.host, port.vnic_type, port.profile, *vif)


def _bound(cloud: Cloud, tx: Tx, port: Port, wanted: PortBinding) -> PortBinding:
    """The binding with what the drivers say of it; refused where none can."""
    asked = {"host": wanted.host, "vnic_type": wanted.vnic_type, "profile": wanted.profile}
    vif = binding.choose(cloud, tx, port, asked)
    if vif["vif_type"] == BINDING_FAILED:
        raise fault("PortBindingError", id=port.id, host=wanted.host)
    return msgspec.structs.replace(wanted, vif_type=vif["vif_type"] or UNBOUND, vif_details=vif["vif_details"] or {})


def _make_own(cloud: Cloud, tx: Tx, port: Port, made: PortBinding) -> PortBinding:
    """Write the binding into the port's row; down until the host says otherwise."""
    changes = {name: getattr(made, name) for name in ("host", "vnic_type", "profile", "vif_type", "vif_details")}
    common.change(tx, Port, port.id, {**changes, "status": DOWN, **macs.of_device(tx, port, changes)})
    binding.follow(cloud, tx, [port], made.host)
    return made
