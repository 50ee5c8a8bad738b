# SPDX-License-Identifier: Apache-2.0
"""What the paths of network name."""

from __future__ import annotations

from cumulet.services.network.logic import agents
from cumulet.services.network.types import HostReport
from personas.stage import Prop, Stage


def made(stage: Stage, kind: str, who: str = "member", **words: object) -> Prop:
    """A new thing with a tag, as it is shown."""
    collection = f"/{kind.replace('_', '-')}s"
    found: Prop = stage.make("network", collection, {kind: words}, who)[kind]
    if kind != "security_group_rule":
        stage.make("network", f"{collection}/{found['id']}/tags/tag", None, who, "PUT")
    return found


def owned(stage: Stage, found: Prop, **more: object) -> Prop:
    project = stage.cast.project_id
    target = {"project_id": project, "tenant_id": project, "shared": False, "router:external": False, **more}
    return {"id": found["id"], "tag": "tag", "network_id": found.get("network_id"), "target": target}


def network(stage: Stage) -> Prop:
    return owned(stage, made(stage, "network", name="wire"))


def subnet(stage: Stage) -> Prop:
    wire = made(stage, "network")["id"]
    found = made(stage, "subnet", network_id=wire, ip_version=4, cidr="10.9.0.0/24")
    return owned(stage, found, **{"network:project_id": stage.cast.project_id})


def port(stage: Stage) -> Prop:
    found = made(stage, "port", network_id=made(stage, "network")["id"])
    owner = {"network:project_id": stage.cast.project_id, "port": {}, "device_owner": ""}
    return owned(stage, found, **owner)


def router(stage: Stage) -> Prop:
    return owned(stage, made(stage, "router"))


def subnet_pool(stage: Stage) -> Prop:
    return owned(stage, made(stage, "subnetpool", name="pool", prefixes=["10.40.0.0/16"]))


def external_network(stage: Stage) -> str:
    """An external network with a subnet, made by the administrator."""
    words = {"name": f"outside-{stage.suffix}", "router:external": True, "port_security_enabled": False}
    key = str(made(stage, "network", "other_admin", **words)["id"])
    made(stage, "subnet", "other_admin", network_id=key, ip_version=4, cidr="198.18.0.0/24", enable_dhcp=False)
    return key


def floating_ip(stage: Stage) -> Prop:
    outside = stage.word("external")
    return owned(stage, made(stage, "floatingip", floating_network_id=outside))


def security_group(stage: Stage) -> Prop:
    return owned(stage, made(stage, "security_group", name="guard"))


def security_group_rule(stage: Stage) -> Prop:
    group = made(stage, "security_group", name="guard")["id"]
    found = made(stage, "security_group_rule", security_group_id=group, direction="ingress")
    return owned(stage, found, **{"security_group:project_id": stage.cast.project_id})


def agent(stage: Stage, kind: str = "Cumulet network agent") -> Prop:
    """An agent of a host that there is not, so that no other test misses it."""
    host, cloud = f"host-{stage.suffix}", stage.cloud.control.cloud
    cloud.db.write(lambda tx: agents.joined(tx, host, HostReport(gateway=False)))
    stage.at_end.append(lambda: forget_agent(stage, host))
    found = stage.make("network", f"/agents?host={host}&agent_type={kind}", None, "admin", "GET")["agents"]
    return {"id": found[0]["id"], "agent_id": found[0]["id"], "target": {}}


def forget_agent(stage: Stage, host: str) -> None:
    path = f"/agents?host={host}&agent_type=Cumulet network agent"
    for found in stage.make("network", path, None, "admin", "GET")["agents"]:
        stage.make("network", f"/agents/{found['id']}", None, "admin", "DELETE")


def project(stage: Stage) -> Prop:
    key = stage.cast.project_id
    return {"project_id": key, "target": {"project_id": key, "tenant_id": key}}


def other_project(stage: Stage) -> Prop:
    """One whose limits nobody needs; it has some of its own."""
    key = stage.cast.other_project_id
    stage.make("network", f"/quotas/{key}", {"quota": {"network": 5}}, "other_admin", "PUT")
    return {"project_id": key, "target": {"project_id": key, "tenant_id": key}}


def extension(stage: Stage) -> Prop:
    return {"alias": "router"}


def availability(stage: Stage) -> Prop:
    return {"id": network(stage)["id"], "target": {}}


MAKERS = {
    "external network": lambda stage: {"id": external_network(stage)},
    "/networks/{id}": network,
    "/subnets/{id}": subnet,
    "/subnetpools/{id}": subnet_pool,
    "/ports/{id}": port,
    "/routers/{id}": router,
    "/floatingips/{id}": floating_ip,
    "/security-groups/{id}": security_group,
    "/security-group-rules/{id}": security_group_rule,
    "/agents/{id}": agent,
    "/quotas/{project_id}": project,
    "PUT /quotas/{project_id}": other_project,
    "DELETE /quotas/{project_id}": other_project,
    "/extensions/{alias}": extension,
    "/network-ip-availabilities/{id}": availability,
}
