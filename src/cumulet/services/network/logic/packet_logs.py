# SPDX-License-Identifier: Apache-2.0
"""What can be done with packet logs."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import access, binding
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import addresses, common
from cumulet.services.network.types import Port, SecurityGroup
from cumulet.services.network.types.bindings import BINDING_FAILED, BRIDGE, UNBOUND
from cumulet.services.network.types.packet_logs import LOGGABLE, PacketLog

_PLAIN = ("name", "enabled", "description")
_CAN = (BRIDGE, UNBOUND, BINDING_FAILED)  # how a port is plugged in whose packets can be logged, or may become so


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> PacketLog:
    """A new log of what the caller sees: a security group, a port that is in it, or all ports of the project."""
    if values["resource_type"] not in LOGGABLE:
        raise fault("InvalidLogResourceType", resource_type=values["resource_type"])
    group_id, port_id = values["resource_id"], values["target_id"]
    if group_id is not None and access.find(tx, ctx, SecurityGroup, group_id) is None:
        raise fault("ResourceNotFound", resource_id=group_id)
    if port_id is not None:
        _check_port(tx, ctx, port_id)
        if group_id is not None and group_id not in addresses.groups_of(tx, [port_id])[port_id]:
            raise fault("InvalidResourceConstraint", resource_id=group_id, target_id=port_id)
    now = clock.utcnow()
    made = PacketLog(
        id=ids.new_uuid(),
        project_id=values["project_id"],
        name=values["name"],
        resource_type=values["resource_type"],
        resource_id=group_id,
        event=values["event"],
        target_id=port_id,
        enabled=values["enabled"],
        description=values["description"],
        revision_number=0,
        created_at=now,
        updated_at=now,
    )
    common.add(tx, made)
    return made


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> PacketLog:
    """Change words, and whether it is kept."""
    common.change(tx, PacketLog, key, {name: values[name] for name in _PLAIN if name in values})
    return access.must(tx, PacketLog, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    common.remove(tx, PacketLog, [access.must(tx, PacketLog, key).id])


def _check_port(tx: Tx, ctx: Context, key: str) -> None:
    port = access.find(tx, ctx, Port, key)
    if port is None:
        raise fault("TargetResourceNotFound", target_id=key)
    if port.vnic_type != "normal" or binding.vif_type(port) not in _CAN:
        raise fault("LoggingTypeNotSupported", log_type="security_group", port_id=key)
