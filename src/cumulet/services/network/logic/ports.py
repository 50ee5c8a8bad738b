# SPDX-License-Identifier: Apache-2.0
"""What can be done with ports."""

from __future__ import annotations

import ipaddress
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.compute.contract import ServersContract
from cumulet.services.network.logic import (
    access,
    binding,
    dns,
    ipam,
    macs,
    minimums,
    port_attributes,
    port_forwardings,
    qos_use,
    quotas,
    routed,
    security_groups,
    trunks,
)
from cumulet.services.network.logic.faults import bad, fault, invalid
from cumulet.services.network.store import addresses, common, local_ips, lookups
from cumulet.services.network.types import (
    ACTIVE,
    DOWN,
    NOT_APPLICABLE,
    OWNER_CENTRAL_SNAT,
    OWNER_COMPUTE,
    OWNER_DHCP,
    OWNER_FLOATING,
    OWNER_ROUTER_GATEWAY,
    OWNERS_INSIDE,
    FloatingIp,
    Network,
    Port,
    Router,
    SecurityGroup,
    Subnet,
)

MOST_PAIRS = 10
ROUTER_OWNERS = (*OWNERS_INSIDE, OWNER_ROUTER_GATEWAY, OWNER_CENTRAL_SNAT)
_CLOUDS_OWN = (*ROUTER_OWNERS, OWNER_FLOATING)
_FIRST = {OWNER_DHCP: ACTIVE, OWNER_FLOATING: NOT_APPLICABLE}  # the status of a new port
_PLAIN = ("name", "admin_state_up", "device_id", "device_owner", "description")


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> Port:
    """A new port from its attributes, with addresses and security groups."""
    values = dns.kept(cloud, values)
    network = access.get(tx, ctx, Network, values["network_id"])
    quotas.take(cloud, tx, values["project_id"], port=1)
    secure = values.get("port_security_enabled", network.port_security_enabled)
    port = _new(tx, network, values, secure)
    if port.host:
        port = msgspec.structs.replace(port, **binding.choose(cloud, tx, port, _binding(port)))
    common.add(tx, port)
    qos_use.check_port(tx, port, None if port.qos_policy_id else network.qos_policy_id)
    port = ipam.begin(tx, port, values.get("fixed_ips"))
    set_groups(tx, ctx, port, values.get("security_groups"), fresh=True)
    return port


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> Port:
    """Change attributes; a port keeps what keeps its addresses and groups true."""
    values = dns.kept(cloud, values)
    port = access.must(tx, Port, key)
    changes = {name: values[name] for name in _PLAIN if name in values} | common.optional(Port, values)
    _check_device(ctx, port, changes)
    if "mac_address" in values and values["mac_address"] != port.mac_address:
        changes["mac_address"] = macs.own(tx, port, values["mac_address"])
    if "binding:host_id" in values:
        changes["host"] = values["binding:host_id"] or ""
    if "binding:vnic_type" in values:
        changes["vnic_type"] = values["binding:vnic_type"]
    if "binding:profile" in values:
        changes["profile"] = port_attributes.profile(values["binding:profile"])
    if "qos_policy_id" in changes:
        changes |= minimums.of_port(cloud, tx, port, changes["qos_policy_id"])
    changes |= macs.of_device(tx, port, changes) | binding.changed(cloud, tx, port, changes)
    if "extra_dhcp_opts" in values:
        changes["extra_dhcp_opts"] = _merged_options(port.extra_dhcp_opts, values["extra_dhcp_opts"] or [])
    secure = values.get("port_security_enabled", port.port_security_enabled)
    changes["port_security_enabled"] = secure
    if port.device_owner == OWNER_DHCP and "admin_state_up" in changes:
        changes["status"] = ACTIVE if changes["admin_state_up"] else DOWN
    mac = changes.get("mac_address", port.mac_address)
    pairs = values.get("allowed_address_pairs", port.allowed_address_pairs)
    changes["allowed_address_pairs"] = _checked_pairs(pairs, mac, secure)
    if changes.get("host") and changes["host"] != port.host and "fixed_ips" not in values:
        _come_to(tx, port, changes["host"])
    common.change(tx, Port, key, changes)
    moves = changes.get("host", port.host) != port.host
    port = access.must(tx, Port, key)
    if moves:
        binding.follow(cloud, tx, [port], port.host)
    if "fixed_ips" in values:
        _check_leg(tx, port, values["fixed_ips"])
        _check_floating(tx, port, values["fixed_ips"])
    if "fixed_ips" in values or "mac_address" in changes:
        ipam.reassign(tx, port, values.get("fixed_ips"))
        port_forwardings.readdressed(tx, port)
    set_groups(tx, ctx, port, values.get("security_groups"), fresh=False)
    return port


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> set[str]:
    """Remove a port that no router or floating address lives by; see `remove`."""
    port = access.must(tx, Port, key)
    if port.device_owner in _CLOUDS_OWN and _is_used(tx, port):
        raise fault("ServicePortInUse", id=key, reason=f"has device owner {port.device_owner}")
    if local_ips.is_at(tx, key):
        raise fault("ServicePortInUse", id=key, reason="still referenced by Local IPs")
    if port.trunk_id is not None:
        raise trunks.in_use(tx, port)
    if port.device_owner.startswith(OWNER_COMPUTE) and cloud.contracts.offers(ServersContract):
        servers = cloud.contracts.use(ServersContract)
        servers.port_gone(tx, port.device_id, key)
    minimums.give_back(cloud, tx, [port])
    return remove(tx, [port])


def remove(tx: Tx, gone: list[Port]) -> set[str]:
    """Delete ports whatever they are; floating addresses that stood for them stand for nobody now.

    Answers with the hosts of the routers of these, which nobody else would tell where the ports were nowhere.
    """
    keys = [port.id for port in gone]
    leading = lookups.floating_leading_to(tx, keys)
    for floating in leading:
        if floating.port_id is not None:
            empty = {"port_id": None, "fixed_ip_address": None, "router_id": None, "status": DOWN}
            common.change(tx, FloatingIp, floating.id, empty)
    if any(port_forwardings.are_of(floating) for floating in leading):
        port_forwardings.forget(tx, keys)
    trunks.forget(tx, gone)
    common.remove(tx, Port, keys)
    routers = {floating.router_id for floating in leading if floating.router_id is not None}
    return {router.host for router in common.by_id(tx, Router, routers).values()} - {""} if routers else set()


def make_own(
    tx: Tx,
    network: Network,
    owner: str,
    device_id: str,
    fixed_ips: list[dict[str, str]] | None,
    *,
    project_id: str = "",
    host: str = "",
    versions: tuple[int, ...] = (4, 6),
) -> Port:
    """A port of the cloud's own: a router's leg, a floating address, a network's services. It is not filtered.

    Where `fixed_ips` is None, it gets an address of each of the IP `versions` that the network has.
    """
    values = {
        "project_id": project_id, "name": "", "admin_state_up": True, "device_id": device_id, "device_owner": owner,
        "description": "", "extra_dhcp_opts": None, "binding:vnic_type": "normal", "binding:host_id": host,
    }  # fmt: skip
    port = msgspec.structs.replace(_new(tx, network, values, secure=False), status=_FIRST.get(owner, DOWN))
    common.add(tx, port)
    ipam.assign(tx, port, fixed_ips, versions)
    return port


def readdress(tx: Tx, port: Port, fixed_ips: list[dict[str, str]]) -> None:
    """Give one of the cloud's own ports other addresses."""
    ipam.assign(tx, port, fixed_ips)
    common.touch(tx, Port, port.id)


def set_groups(tx: Tx, ctx: Context, port: Port, wanted: list[str] | None, *, fresh: bool) -> None:
    """Put the port into the groups `wanted`; None leaves them, and gives a fresh port its project's default."""
    if port.device_owner.startswith("network:") and wanted is None:
        return
    if not port.port_security_enabled:
        current = [] if fresh else addresses.groups_of(tx, [port.id])[port.id]
        if wanted or (wanted is None and current):
            name = "PortSecurityAndIPRequiredForSecurityGroups" if wanted else "PortSecurityPortHasSecurityGroup"
            raise fault(name)
        addresses.put_groups(tx, port.id, [])
        return
    if wanted is None:
        if fresh:
            default = security_groups.ensure_default(tx, port.project_id)
            addresses.put_groups(tx, port.id, [default.id])
        return
    security_groups.check_alike([access.get(tx, ctx, SecurityGroup, key) for key in wanted])
    addresses.put_groups(tx, port.id, wanted)


def _come_to(tx: Tx, port: Port, host: str) -> None:
    """A port of a routed network comes to a host with addresses that work there."""
    if access.must(tx, Network, port.network_id).routed and not ipam.settled(tx, port, host):
        routed.check_host(tx, port, host)


def _binding(port: Port) -> dict[str, Any]:
    return {"host": port.host, "vnic_type": port.vnic_type, "profile": port.profile}


def _new(tx: Tx, network: Network, values: dict[str, Any], secure: bool) -> Port:
    profile = port_attributes.profile(values.get("binding:profile"), values.get("hardware_offload_type"))
    host, vnic_type = values.get("binding:host_id") or "", values["binding:vnic_type"]
    tx.lock(f"network:addresses:{network.id}")
    mac = values.get("mac_address")
    if host and vnic_type == macs.PASSED_THROUGH:
        mac = macs.in_profile(profile)
    mac = macs.free(tx, network.id, mac)
    now = clock.utcnow()
    return Port(
        id=ids.new_uuid(),
        project_id=values["project_id"],
        network_id=network.id,
        name=values["name"],
        mac_address=mac,
        admin_state_up=values["admin_state_up"],
        status=DOWN,
        device_id=values["device_id"],
        device_owner=values["device_owner"],
        host=host,
        vnic_type=vnic_type,
        profile=profile,
        port_security_enabled=secure,
        allowed_address_pairs=_checked_pairs(values.get("allowed_address_pairs") or [], mac, secure),
        extra_dhcp_opts=_merged_options([], values.get("extra_dhcp_opts") or []),
        made_for_server=False,
        position=0,
        tag=None,
        description=values["description"],
        tags=values.get("tags", []),
        revision_number=1,
        created_at=now,
        updated_at=now,
        **common.optional(Port, values),
    )


def _check_device(ctx: Context, port: Port, changes: dict[str, Any]) -> None:
    """Routers' legs cannot be made into something else by their owners."""
    owner = changes.get("device_owner", port.device_owner)
    if port.device_owner in ROUTER_OWNERS and (owner != port.device_owner or "device_id" in changes):
        if owner == port.device_owner and changes["device_id"] == port.device_id:
            return
        raise fault("ServicePortInUse", id=port.id, reason=f"has device owner {port.device_owner}")


def _checked_pairs(pairs: list[dict[str, str]], mac: str, secure: bool) -> list[dict[str, str]]:
    """The pairs with the port's own MAC filled in; they need port security to mean something."""
    if pairs and not secure:
        raise fault("AddressPairAndPortSecurityRequired")
    if len(pairs) > MOST_PAIRS:
        raise fault("AllowedAddressPairExhausted", quota=MOST_PAIRS)
    checked: list[dict[str, str]] = []
    for pair in pairs:
        whole = {"mac_address": pair.get("mac_address") or mac, "ip_address": pair["ip_address"]}
        if whole in checked:
            raise fault("DuplicateAddressPairInRequest", mac=whole["mac_address"], address=whole["ip_address"])
        if ipaddress.ip_network(whole["ip_address"], strict=False).is_multicast:
            raise invalid("Request contains multicast ip address, which is not supported")
        checked.append(whole)
    return checked


def _merged_options(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """DHCP options by name and family; one whose value is None is taken away."""
    merged = {(item["opt_name"], item["ip_version"]): item for item in old}
    for item in new:
        version = int(item.get("ip_version") or 4)
        key = (item["opt_name"], version)
        if item.get("opt_value") is None:
            merged.pop(key, None)
        else:
            merged[key] = {"opt_name": item["opt_name"], "opt_value": item["opt_value"], "ip_version": version}
    return list(merged.values())


def _check_leg(tx: Tx, port: Port, wanted: list[dict[str, str]]) -> None:
    """A router's port inside keeps its IPv4 addresses: they are changed by its interfaces alone."""
    if port.device_owner not in OWNERS_INSIDE:
        return
    held = {item.address for item in addresses.of_ports(tx, [port.id])[port.id] if ":" not in item.address}
    asked = ipam.keeping(tx, port, wanted)
    named = {item["ip_address"] for item in asked if "ip_address" in item and ":" not in item["ip_address"]}
    more = {item["subnet_id"] for item in asked if "ip_address" not in item and "subnet_id" in item}
    if named != held or any(subnet.ip_version == 4 for subnet in common.by_id(tx, Subnet, more).values()):
        raise fault("IPAddressChangeNotAllowed", id=port.id)


def _check_floating(tx: Tx, port: Port, wanted: list[dict[str, str]]) -> None:
    """Addresses for which a floating one stands cannot be taken away."""
    named = {item.get("ip_address") for item in ipam.keeping(tx, port, wanted)}
    for floating in lookups.floating_of_ports(tx, [port.id]):
        if floating.fixed_ip_address not in named:
            reason = "because its original fixed_ip has been associated to a floating ip"
            raise bad("port", f"Cannot update the fixed_ips of the port {port.id}, {reason}")


def _is_used(tx: Tx, port: Port) -> bool:
    """Whether the router or floating address that the port belongs to still exists."""
    if port.device_owner == OWNER_FLOATING:
        return common.find(tx, FloatingIp, port.device_id) is not None
    return common.find(tx, Router, port.device_id) is not None
