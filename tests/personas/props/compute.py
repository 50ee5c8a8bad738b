# SPDX-License-Identifier: Apache-2.0
"""What the paths of compute name."""

from __future__ import annotations

from personas.props import block_storage
from personas.stage import Prop, Stage


def new_flavor(stage: Stage) -> str:
    words = {"flavor": {"name": f"flavor-{stage.suffix}", "ram": 64, "vcpus": 1, "disk": 0}}
    return str(stage.make("compute", "/flavors", words, "admin")["flavor"]["id"])


def server(stage: Stage) -> Prop:
    """A running server of the victim's project with a port, a second volume, metadata and a tag."""
    wire = stage.make("network", "/networks", {"network": {"name": "wire"}})["network"]["id"]
    subnet = {"network_id": wire, "ip_version": 4, "cidr": "10.3.0.0/24"}
    stage.make("network", "/subnets", {"subnet": subnet})
    port = stage.make("network", "/ports", {"port": {"network_id": wire}})["port"]["id"]
    disk = {"source_type": "blank", "destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    words = {
        "name": "one",
        "flavorRef": new_flavor(stage),
        "networks": [{"port": port}],
        "imageRef": "",
        "metadata": {"key": "value"},
        "tags": ["tag"],
        "block_device_mapping_v2": [{**disk, "boot_index": 0}, {**disk, "boot_index": -1}],
    }
    key = str(stage.make("compute", "/servers", {"server": words})["server"]["id"])
    stage.until("compute", f"/servers/{key}", lambda answer: answer["server"]["status"] in ("ACTIVE", "ERROR"))
    volumes = stage.make("compute", f"/servers/{key}/os-volume_attachments", None, method="GET")["volumeAttachments"]
    actions = stage.make("compute", f"/servers/{key}/os-instance-actions", None, method="GET")["instanceActions"]
    return {
        "server_id": key,
        "key": "key",
        "tag": "tag",
        "port_id": port,
        "network_name": "wire",
        "network_id": wire,
        "request_id": actions[0]["request_id"],
        "volume_id": volumes[-1]["volumeId"],
        "share_id": ABSENT,
        "console_id": ABSENT,
        "migration_id": "1",
        "hidden_but_from": (stage.cast.project_id,),
        "target": {"project_id": stage.cast.project_id, "user_id": stage.cast.owner_id},
    }


def standing(stage: Stage) -> Prop:
    """A server that nobody acts upon: only what it has is deleted."""
    return stage.named("compute", STANDING)


def with_metadata(stage: Stage) -> Prop:
    prop = standing(stage)
    stage.make("compute", f"/servers/{prop['server_id']}/metadata", {"metadata": {"key": "value"}})
    return prop


def with_tags(stage: Stage) -> Prop:
    prop = standing(stage)
    stage.make("compute", f"/servers/{prop['server_id']}/tags", {"tags": ["tag"]}, method="PUT")
    return prop


def with_port(stage: Stage) -> Prop:
    prop = standing(stage)
    words = {"interfaceAttachment": {"net_id": prop["network_id"]}}
    made = stage.make("compute", f"/servers/{prop['server_id']}/os-interface", words)["interfaceAttachment"]
    return {**prop, "port_id": made["port_id"]}


def with_volume(stage: Stage) -> Prop:
    prop, key = standing(stage), block_storage.new_volume(stage)
    words = {"volumeAttachment": {"volumeId": key}}
    stage.make("compute", f"/servers/{prop['server_id']}/os-volume_attachments", words)
    stage.until("block_storage", f"/volumes/{key}", lambda answer: answer["volume"]["status"] == "in-use")
    return {**prop, "volume_id": key}


def console(stage: Stage) -> Prop:
    """A token for the display of a server."""
    words = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
    made = stage.make("compute", f"/servers/{server(stage)['server_id']}/remote-consoles", words)
    return {"console_token": made["remote_console"]["url"].rpartition("%3D")[2]}


def flavor(stage: Stage) -> Prop:
    key = new_flavor(stage)
    stage.make("compute", f"/flavors/{key}/os-extra_specs", {"extra_specs": {"hw:cpu_policy": "shared"}}, "admin")
    return {"flavor_id": key, "key": "hw:cpu_policy"}


def keypair(stage: Stage) -> Prop:
    """A keypair of the victim's owner, under a name that nobody else uses."""
    name, owner = f"keys-{stage.suffix}", stage.cast.owner_id
    stage.make("compute", "/os-keypairs", {"keypair": {"name": name, "public_key": PUBLIC}})
    return {"name": name, "target": {"user_id": owner, "project_id": stage.cast.project_id}}


def server_group(stage: Stage) -> Prop:
    words = {"server_group": {"name": "friends", "policy": "affinity"}}
    found = stage.make("compute", "/os-server-groups", words)["server_group"]
    project_id = stage.cast.project_id
    return {"group_id": found["id"], "target": {"project_id": project_id}, "hidden_but_from": (project_id,)}


def private_flavor(stage: Stage) -> Prop:
    words = {"flavor": {"name": f"flavor-{stage.suffix}", "ram": 64, "vcpus": 1, "disk": 0}}
    words["flavor"]["os-flavor-access:is_public"] = False
    return {"flavor_id": stage.make("compute", "/flavors", words, "admin")["flavor"]["id"]}


def other_project(stage: Stage) -> Prop:
    """One whose limits nobody needs."""
    key = stage.cast.other_project_id
    return {"owner_id": key, "target": {"project_id": key}}


def project(stage: Stage) -> Prop:
    key = stage.cast.project_id
    return {"owner_id": key, "target": {"project_id": key}}


def aggregate(stage: Stage) -> Prop:
    words = {"aggregate": {"name": f"pile-{stage.suffix}"}}
    return {"aggregate_id": stage.make("compute", "/os-aggregates", words, "admin")["aggregate"]["id"]}


def hypervisor(stage: Stage) -> Prop:
    found = stage.until("compute", "/os-hypervisors", lambda answer: bool(answer["hypervisors"]))["hypervisors"]
    return {"hypervisor_id": found[0]["id"]}


def named_hypervisor(stage: Stage) -> Prop:
    found = stage.until("compute", "/os-hypervisors", lambda answer: bool(answer["hypervisors"]))["hypervisors"]
    return {"hypervisor_id": found[0]["hypervisor_hostname"]}


def service(stage: Stage) -> Prop:
    found = stage.until("compute", "/os-services", lambda answer: bool(answer["services"]))["services"]
    return {"service_id": found[0]["id"]}


def security_group(stage: Stage) -> Prop:
    found = stage.make("network", "/security-groups", {"security_group": {"name": "guard"}})["security_group"]
    return {"group_id": found["id"], "hidden_but_from": (stage.cast.project_id,)}


def security_group_rule(stage: Stage) -> Prop:
    group = security_group(stage)["group_id"]
    words = {"security_group_id": group, "direction": "ingress", "protocol": "icmp"}
    found = stage.make("network", "/security-group-rules", {"security_group_rule": words})["security_group_rule"]
    return {"rule_id": found["id"], "hidden_but_from": (stage.cast.project_id,)}


def network(stage: Stage) -> Prop:
    found = stage.make("network", "/networks", {"network": {"name": "wire"}})["network"]
    return {"network_id": found["id"], "hidden_but_from": (stage.cast.project_id,)}


def floating_ip(stage: Stage) -> Prop:
    words = {"floatingip": {"floating_network_id": stage.word("external")}}
    found = stage.make("network", "/floatingips", words)["floatingip"]
    return {"floating_id": found["id"], "hidden_but_from": (stage.cast.project_id,)}


def volume(stage: Stage) -> Prop:
    key = block_storage.new_volume(stage)
    return {"volume_id": key, "hidden_but_from": (stage.cast.project_id,)}


def snapshot(stage: Stage) -> Prop:
    key = block_storage.snapshot(stage)["snapshot_id"]
    return {"snapshot_id": key, "hidden_but_from": (stage.cast.project_id,)}


SERVER = "/servers/{server_id}"
STANDING = "a server that stands"
ABSENT = "99999999-9999-4999-8999-999999999999"
PUBLIC = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ5r0hYQ6yWlLkQm4Rg5bXv2jJm6Wn0yq1c3s9cVtN2e persona"

MAKERS = {
    SERVER: server,
    "/os-volumes_boot/{server_id}": server,
    STANDING: server,
    f"DELETE {SERVER}/metadata/{{key}}": with_metadata,
    f"DELETE {SERVER}/tags/{{tag}}": with_tags,
    f"DELETE {SERVER}/tags": with_tags,
    f"DELETE {SERVER}/os-interface/{{port_id}}": with_port,
    f"DELETE {SERVER}/os-volume_attachments/{{volume_id}}": with_volume,
    f"DELETE {SERVER}/os-server-password": standing,
    f"DELETE {SERVER}/shares/{{share_id}}": standing,
    "/flavors/{flavor_id}": flavor,
    "GET /flavors/{flavor_id}/os-flavor-access": private_flavor,
    "/os-keypairs/{name}": keypair,
    "/os-server-groups/{group_id}": server_group,
    "/os-quota-sets/{owner_id}": project,
    "PUT /os-quota-sets/{owner_id}": other_project,
    "DELETE /os-quota-sets/{owner_id}": other_project,
    "/os-simple-tenant-usage/{owner_id}": project,
    "/os-quota-class-sets/{name}": lambda _stage: {"name": "default"},
    "PUT /os-quota-class-sets/{name}": lambda _stage: {"name": "nobody"},
    "/os-aggregates/{aggregate_id}": aggregate,
    "/os-hypervisors/{hypervisor_id}": hypervisor,
    "GET /os-hypervisors/{hypervisor_id}/search": named_hypervisor,
    "GET /os-hypervisors/{hypervisor_id}/servers": named_hypervisor,
    "/os-hosts/{host_name}": lambda stage: {"host_name": stage.cloud.settings.host},
    "/os-services/{service_id}": service,
    "/os-security-groups/{group_id}": security_group,
    "/os-security-group-rules/{rule_id}": security_group_rule,
    "/os-console-auth-tokens/{console_token}": console,
    "/os-assisted-volume-snapshots/{snapshot_id}": lambda _stage: {"snapshot_id": "of-another-service"},
    "/images/{image_id}": lambda _stage: {"image_id": ABSENT, "key": "key"},
    "/os-networks/{network_id}": network,
    "DELETE /os-networks/{network_id}": lambda _stage: {"network_id": ABSENT},
    "/os-tenant-networks/{network_id}": network,
    "DELETE /os-tenant-networks/{network_id}": lambda _stage: {"network_id": ABSENT},
    "/os-floating-ips/{floating_id}": floating_ip,
    "/os-volumes/{volume_id}": volume,
    "/os-snapshots/{snapshot_id}": snapshot,
    "/os-baremetal-nodes/{node_id}": lambda _stage: {"node_id": ABSENT},
    "/os-instance_usage_audit_log/{before}": lambda _stage: {"before": "2025-01-01 00:00:00"},
    "/versions/{version_id}": lambda _stage: {"version_id": "v2.1"},
    "{absent_id}": lambda _stage: {"absent_id": ABSENT, "entry_id": ABSENT},
    "/extensions/{alias}": lambda _stage: {"alias": "os-keypairs"},
}
