# SPDX-License-Identifier: Apache-2.0
"""What can be done with local IPs, and with what they mean on hosts."""

from __future__ import annotations

import ipaddress
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import access, ports
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.store import addresses, common
from cumulet.services.network.types import Network, Port, Subnet
from cumulet.services.network.types.local_ips import NOT_APPLICABLE, OWNER_LOCAL_IP, LocalIp, LocalIpAssociation

_PLAIN = ("name", "description")


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> LocalIp:
    """A new local IP: the address of a port that there is, or of one that is made for it on a network."""
    key = ids.new_uuid()
    wanted = values.get("local_ip_address")
    if values.get("local_port_id") is not None:
        port = _port(tx, ctx, values["local_port_id"], "local_ip")
    elif values.get("network_id") is not None:
        port = _own_port(tx, ctx, key, values)
    else:
        raise fault("LocalIPPortOrNetworkRequired")
    now = clock.utcnow()
    made = LocalIp(
        id=key,
        project_id=values["project_id"],
        name=values["name"],
        local_port_id=port.id,
        network_id=port.network_id,
        local_ip_address=_address(tx, port, wanted),
        ip_mode=values["ip_mode"],
        description=values["description"],
        revision_number=0,
        created_at=now,
        updated_at=now,
    )
    common.add(tx, made)
    return made


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> LocalIp:
    """Change words."""
    common.change(tx, LocalIp, key, {name: values[name] for name in _PLAIN if name in values})
    return access.must(tx, LocalIp, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove a local IP that means no port, and the port that was made for it."""
    _lock(tx, key)
    gone = access.must(tx, LocalIp, key)
    if common.find_all(tx, LocalIpAssociation, local_ip_id=[key]):
        raise fault("LocalIPInUse", id=key)
    common.remove(tx, LocalIp, [key])
    port = common.find(tx, Port, gone.local_port_id)
    if port is not None and port.device_owner == OWNER_LOCAL_IP and port.device_id == key:
        ports.remove(tx, [port])


def associate(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> LocalIpAssociation:
    """Let the local IP mean a port on the port's host: the address asked for, or the only one that it has."""
    local_id = values["local_ip_id"]
    _lock(tx, local_id)
    access.must(tx, LocalIp, local_id)
    port = _port(tx, ctx, values["fixed_port_id"], "local_ip_port_association")
    address = _address(tx, port, values["fixed_ip"])
    if common.find_all(tx, LocalIpAssociation, local_ip_id=[local_id], fixed_port_id=[port.id]):
        taken = {"local_ip_id": local_id, "fixed_port_id": port.id}
        names, held = list(taken), list(taken.values())
        raise fault("NeutronDbObjectDuplicateEntry", kind="LocalIPAssociation", names=names, values=held)
    now = clock.utcnow()
    made = LocalIpAssociation(
        id=ids.new_uuid(),
        local_ip_id=local_id,
        fixed_port_id=port.id,
        fixed_ip=address,
        revision_number=0,
        created_at=now,
        updated_at=now,
    )
    common.add(tx, made)
    return made


def dissociate(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Let the port be meant no more."""
    common.remove(tx, LocalIpAssociation, [key])


def _port(tx: Tx, ctx: Context, key: str, resource: str) -> Port:
    found = access.find(tx, ctx, Port, key)
    if found is None:
        raise bad(resource, f"Port {key} not found")
    return found


def _own_port(tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> Port:
    """A port that holds the address and that nothing plugs in."""
    network = access.get(tx, ctx, Network, values["network_id"])
    if not any(subnet.ip_version == 4 for subnet in common.find_all(tx, Subnet, network_id=[network.id])):
        raise bad("local_ip", f"Network {network.id} does not contain any IPv4 subnet")
    wanted = values.get("local_ip_address")
    fixed = [{"ip_address": wanted}] if wanted is not None else None
    project_id = values["project_id"]
    port = ports.make_own(tx, network, OWNER_LOCAL_IP, key, fixed, project_id=project_id, versions=(4,))
    common.set_quietly(tx, Port, [port.id], {"status": NOT_APPLICABLE})
    return port


def _address(tx: Tx, port: Port, wanted: str | None) -> str:
    """The port's address that is meant."""
    held = [item.address for item in addresses.of_ports(tx, [port.id])[port.id]]
    if not held:
        raise fault("LocalIPNoIP", port_id=port.id)
    if wanted is not None:
        found = next((one for one in held if ipaddress.ip_address(one) == ipaddress.ip_address(wanted)), None)
        if found is None:
            raise fault("LocalIPRequestedIPNotFound", port_id=port.id, ip=wanted)
        return found
    if len(held) > 1:
        raise fault("LocalIPNoRequestedIP", port_id=port.id)
    return held[0]


def _lock(tx: Tx, key: str) -> None:
    """Have the local IP to oneself till the commit: it does not go while it comes to mean a port."""
    tx.lock(f"network:local_ip:{key}")
