# SPDX-License-Identifier: Apache-2.0
"""What can be done with networks."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.services.network.logic import (
    access,
    default_external,
    minimums,
    ports,
    qos_use,
    quotas,
    segment_inventories,
    segments,
    sharing,
    tagged_frames,
    zones,
)
from cumulet.services.network.logic.faults import fault
from cumulet.services.network.store import common
from cumulet.services.network.store import rbac_policies as policies
from cumulet.services.network.types import (
    AS_EXTERNAL,
    AS_SHARED,
    EVERYBODY,
    OWNER_DHCP,
    FloatingIp,
    Network,
    Port,
    Subnet,
)


def create(cloud: Cloud, tx: Tx, ctx: Context, values: dict[str, Any]) -> Network:
    """A new network from its attributes; its kind is chosen here unless an administrator has."""
    values["qos_policy_id"] = qos_use.with_default(tx, ctx, values["project_id"], values.get("qos_policy_id"))
    quotas.take(cloud, tx, values["project_id"], network=1)
    carriers = segments.choose(cloud, tx, values)
    tagged_frames.check(cloud, values, [each.kind for each in carriers])
    now, key = clock.utcnow(), ids.new_uuid()
    if values["is_default"]:
        default_external.check_only(tx, key)
    network = Network(
        id=key,
        project_id=values["project_id"],
        name=values["name"],
        admin_state_up=values["admin_state_up"],
        shared=values["shared"],
        external=values["router:external"],
        is_default=values["is_default"] and values["router:external"],
        mtu=segments.mtu(cloud, [each.kind for each in carriers], values["mtu"]),
        port_security_enabled=values["port_security_enabled"],
        availability_zone_hints=values["availability_zone_hints"],
        zones=zones.settled(cloud, tx, "network", values["availability_zone_hints"]),
        description=values["description"],
        tags=[],
        revision_number=1,
        created_at=now,
        updated_at=now,
        **common.optional(Network, values),
        **segments.columns(cloud, carriers),
    )
    common.add(tx, network)
    common.add(tx, *segments.rows(network.id, carriers, now))
    if network.shared:
        sharing.add(tx, "network", network.id, network.project_id)
    if network.external:
        sharing.add(tx, "network", network.id, network.project_id, AS_EXTERNAL)
    return network


def update(cloud: Cloud, tx: Tx, ctx: Context, key: str, values: dict[str, Any]) -> Network:
    """Change attributes; what others lean on (sharing, being external) can be taken back only while nobody does."""
    network = access.must(tx, Network, key)
    if values.get("shared", network.shared) != network.shared:
        _share(tx, network, values["shared"])
    changes = {name: values[name] for name in _PLAIN if name in values} | common.optional(Network, values)
    changes |= segments.renumber(cloud, tx, network, values)
    if values.get("router:external", network.external) != network.external:
        changes["external"] = values["router:external"]
        _open_outside(tx, network, values["router:external"])
    if values.get("is_default") and ("router:external" in values or network.external):
        default_external.check_only(tx, key)
    if not changes.get("external", network.external):
        changes["is_default"] = False
    if "mtu" in values:
        kinds = [each.kind for each in segments.carriers(tx, [network])[key]]
        changes["mtu"] = segments.mtu(cloud, kinds, values["mtu"])
        for subnet in common.find_all(tx, Subnet, network_id=[key]):
            segments.check_mtu(key, changes["mtu"], subnet.ip_version)
    if "qos_policy_id" in changes:
        minimums.of_network(cloud, tx, network, changes["qos_policy_id"])
    common.change(tx, Network, key, changes)
    return access.must(tx, Network, key)


def delete(cloud: Cloud, tx: Tx, ctx: Context, key: str) -> None:
    """Remove the network with its subnets; NetworkInUse while it has ports that are not the cloud's own.

    Floating IPs that stand for nobody go with it.
    """
    network = access.must(tx, Network, key)
    idle = [one for one in common.find_all(tx, FloatingIp, floating_network_id=[key]) if one.port_id is None]
    common.remove(tx, FloatingIp, [one.id for one in idle])
    going = {one.floating_port_id for one in idle}
    own = common.find_all(tx, Port, network_id=[key])
    used = [port.id for port in own if port.device_owner != OWNER_DHCP and port.id not in going]
    if used:
        reason = "There are one or more ports still in use on the network, id for these ports is: " + ",".join(used)
        raise fault("NetworkInUse", id=key, reason=reason)
    ports.remove(tx, own)
    subnets = common.find_all(tx, Subnet, network_id=[key])
    common.remove(tx, Subnet, [subnet.id for subnet in subnets])
    segment_inventories.settle(cloud, tx, {each.segment_id for each in subnets if each.segment_id is not None})
    if network.shared or network.external or network.granted:
        sharing.forget(tx, key)
    common.remove(tx, Network, [key])


_PLAIN = ("name", "admin_state_up", "is_default", "port_security_enabled", "description")


def _share(tx: Tx, network: Network, wanted: bool) -> None:
    """Share the network with everybody, or no longer: projects that use it and that no policy names forbid that."""
    sharing.lock(tx, network.id)
    if wanted:
        sharing.share_with_all(tx, "network", network.id, network.project_id)
        return
    named = {policy.target_project for policy in policies.of_object(tx, network.id, AS_SHARED)}
    if policies.using_network(tx, network.id) - named - {network.project_id}:
        raise fault("InvalidSharedSetting", network=network.name)
    sharing.unshare_from_all(tx, "network", network.id)


def _open_outside(tx: Tx, network: Network, wanted: bool) -> None:
    """Let everybody use the network as external, or nobody: routers that lead through it forbid that."""
    sharing.lock(tx, network.id)
    if wanted:
        if policies.find(tx, network.id, AS_EXTERNAL, EVERYBODY) is None:
            sharing.add(tx, "network", network.id, network.project_id, AS_EXTERNAL)
    else:
        if policies.routing_through(tx, network.id):
            raise fault("ExternalNetworkInUse", id=network.id)
        policies.remove_of(tx, network.id, AS_EXTERNAL)
    sharing.settle(tx, "network", network.id)
