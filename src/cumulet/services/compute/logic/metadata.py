# SPDX-License-Identifier: Apache-2.0
"""What a guest is told of itself: OpenStack's and EC2's trees, for the metadata address and the config drive.

Facts: the metadata formats of nova's documentation (openstack/VERSION/meta_data.json and its companions) and EC2's.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import json
from collections.abc import Sequence
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.services.compute.logic import hosts, passwords, personality
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import Device, Server
from cumulet.services.network.contract import (
    AddressInfo,
    MetadataAnswer,
    MetadataQuery,
    NetworkContract,
    PortInfo,
)

OPENSTACK_VERSIONS = (
    "2012-08-10", "2013-04-04", "2013-10-17", "2015-10-15", "2016-06-30", "2016-10-06", "2017-02-22", "2018-08-27",
    "2020-10-14",
)  # fmt: skip
EC2_VERSIONS = (
    "1.0", "2007-01-19", "2007-03-01", "2007-08-29", "2007-10-10", "2007-12-15", "2008-02-01", "2008-09-01",
    "2009-04-04",
)  # fmt: skip
LATEST = "latest"
_NETWORK_DATA_SINCE = "2015-10-15"
_VENDOR_DATA2_SINCE = "2016-10-06"
_VENDOR_DATA_SINCE = "2013-10-17"

Tree = dict[str, bytes]


def answer(cloud: Cloud, query: MetadataQuery) -> MetadataAnswer:
    """The document or listing that a guest asked for; 404 for a path or a guest that is not there."""
    server_id = cloud.contracts.use(NetworkContract).server_by_address(cloud.db, query.network_id, query.address)
    server = store.find(cloud.db, server_id) if server_id is not None else None
    if server is None:
        return MetadataAnswer(status=404)
    path = query.path.strip("/")
    if path.startswith("openstack/") and path.endswith("/password"):
        return _password(cloud, server, query)
    tree = openstack_tree(cloud, server) | ec2_tree(cloud, server)
    body = tree.get(path)
    if body is None:
        body = _listing(tree, path)
    if body is None:
        return MetadataAnswer(status=404)
    media_type = "application/json" if path.endswith(".json") else "text/plain"
    return MetadataAnswer(status=200, media_type=media_type, body=body)


def _password(cloud: Cloud, server: Server, query: MetadataQuery) -> MetadataAnswer:
    """The password that the guest posted, or its posting, which is taken once."""
    if query.posted is None:
        return MetadataAnswer(status=200, body=passwords.get(cloud.db, server).encode())
    posted = query.posted
    taken = cloud.db.write(lambda tx: passwords.keep(tx, server, posted))
    return MetadataAnswer(status=200 if taken else 409)


def config_drive(cloud: Cloud, server: Server, files: Sequence[personality.File] = ()) -> Tree:
    """The files of a config drive, and those that the user has put there."""
    tree = {
        path: body
        for path, body in openstack_tree(cloud, server, files).items()
        if path.split("/")[1] in (LATEST, *OPENSTACK_VERSIONS)
    }
    tree |= {f"openstack/{path}": body for path, body in personality.contents(files).items()}
    whole = json.dumps(_ec2_data(cloud, server)).encode()
    for version in (LATEST, EC2_VERSIONS[-1]):
        tree[f"ec2/{version}/meta-data.json"] = whole
        if server.user_data:
            tree[f"ec2/{version}/user-data"] = base64.b64decode(server.user_data)
    return tree


def openstack_tree(cloud: Cloud, server: Server, files: Sequence[personality.File] = ()) -> Tree:
    """`openstack/<version>/...`"""
    ports = _ports(cloud, server)
    found = meta_data(cloud, server, ports)
    meta = json.dumps(found | {"files": personality.listed(files)} if files else found).encode()
    network = json.dumps(network_data(ports)).encode()
    tree: Tree = {}
    for version in (*OPENSTACK_VERSIONS, LATEST):
        base = f"openstack/{version}"
        tree[f"{base}/meta_data.json"] = meta
        if server.user_data:
            tree[f"{base}/user_data"] = base64.b64decode(server.user_data)
        if version >= _VENDOR_DATA_SINCE:
            tree[f"{base}/vendor_data.json"] = b"{}"
        if version >= _NETWORK_DATA_SINCE:
            tree[f"{base}/network_data.json"] = network
        if version >= _VENDOR_DATA2_SINCE:
            tree[f"{base}/vendor_data2.json"] = b"{}"
    return tree


def meta_data(cloud: Cloud, server: Server, ports: list[PortInfo]) -> dict[str, Any]:
    """`meta_data.json`"""
    found: dict[str, Any] = {
        "uuid": server.id,
        "name": server.name,
        "hostname": server.hostname,
        "launch_index": server.launch_index,
        "availability_zone": _zone(cloud, server),
        "project_id": server.project_id,
        "random_seed": base64.b64encode(_seed(server)).decode(),
        "devices": _devices(devices_store.of_server(cloud.db, server.id), ports),
        "dedicated_cpus": [],
    }
    if server.metadata:
        found["meta"] = server.metadata
    if server.keypair is not None:
        name, key = server.keypair["name"], server.keypair["public_key"]
        found["public_keys"] = {name: key}
        found["keys"] = [{"name": name, "type": server.keypair["type"], "data": key}]
    return found


def network_data(ports: list[PortInfo]) -> dict[str, Any]:
    """`network_data.json`: links, networks and DNS servers."""
    links: list[dict[str, Any]] = []
    networks: list[dict[str, Any]] = []
    services: list[dict[str, str]] = []
    for index, port in enumerate(ports):
        link = f"tap{port.id[:11]}"
        links.append(
            {"id": link, "vif_id": port.id, "type": "ovs", "mtu": port.mtu or None, "ethernet_mac_address": port.mac}
        )
        for address in port.addresses:
            networks.append(_network(f"network{len(networks)}", link, port, address))
            services += [{"type": "dns", "address": each} for each in address.subnet.dns]
        if not port.addresses:
            networks.append({"id": f"network{index}", "link": link, "type": "ipv4_dhcp", "network_id": port.network_id})
    unique = [each for index, each in enumerate(services) if each not in services[:index]]
    return {"links": links, "networks": networks, "services": unique}


def ec2_tree(cloud: Cloud, server: Server) -> Tree:
    """`<version>/meta-data/...` and `<version>/user-data`"""
    leaves = _leaves("meta-data", _ec2_data(cloud, server))
    tree: Tree = {}
    for version in (*EC2_VERSIONS, LATEST):
        tree.update({f"{version}/{path}": body for path, body in leaves.items()})
        if server.user_data:
            tree[f"{version}/user-data"] = base64.b64decode(server.user_data)
    return tree


def _ec2_data(cloud: Cloud, server: Server) -> dict[str, Any]:
    ports = _ports(cloud, server)
    addresses = [address for port in ports for address in port.addresses]
    fixed = [each.address for each in addresses if each.subnet.version == 4]
    floating = [each for address in addresses for each in address.floating]
    found: dict[str, Any] = {
        "ami-id": _ec2_id("ami", server.image_id or server.id),
        "ami-launch-index": str(server.launch_index),
        "ami-manifest-path": "",
        "block-device-mapping": {"ami": "vda", "root": server.root_device_name},
        "hostname": server.hostname,
        "instance-action": "none",
        "instance-id": _ec2_id("i", server.id),
        "instance-type": server.flavor["name"],
        "local-hostname": server.hostname,
        "local-ipv4": ", ".join(fixed[:1]),
        "placement": {"availability-zone": _zone(cloud, server)},
        "public-hostname": server.hostname,
        "public-ipv4": floating[0] if floating else "",
        "reservation-id": server.reservation_id,
        "security-groups": "\n".join(
            group.name
            for group in cloud.contracts.use(NetworkContract)
            .security_groups_of(cloud.db, [server.id])
            .get(server.id, [])
        ),
    }
    if server.keypair is not None:
        found["public-keys"] = {
            f"0={server.keypair['name']}": {"openssh-key": server.keypair["public_key"]},
        }
    return found


def _leaves(prefix: str, data: dict[str, Any]) -> Tree:
    found: Tree = {}
    for name, value in data.items():
        path = f"{prefix}/{name}"
        if isinstance(value, dict):
            found.update(_leaves(path, value))
        else:
            found[path] = str(value).encode()
    # A listing shows `0=name`, the path below it is `0`.
    for path in [path for path in found if "/public-keys/0=" in path]:
        found[path.replace(path.split("/public-keys/")[1].split("/")[0], "0", 1)] = found[path]
    return found


def _listing(tree: Tree, path: str) -> bytes | None:
    """The names below a path, folders with a slash, as EC2 shows them; OpenStack's without."""
    prefix = f"{path}/" if path else ""
    names: set[str] = set()
    for each in tree:
        if not each.startswith(prefix):
            continue
        name, slash, _rest = each[len(prefix) :].partition("/")
        is_folder = bool(slash) and bool(path) and not path.startswith("openstack")
        names.add(f"{name}/" if is_folder else name)
    if path.endswith("public-keys"):
        names = {name.rstrip("/") for name in names if "=" in name}
    return "\n".join(sorted(names)).encode() if names else None


def _ports(cloud: Cloud, server: Server) -> list[PortInfo]:
    return cloud.contracts.use(NetworkContract).ports_of(cloud.db, [server.id]).get(server.id, [])


def _zone(cloud: Cloud, server: Server) -> str:
    return hosts.zone_of(cloud.db, server.host)


def _seed(server: Server) -> bytes:
    """512 bytes that are the guest's own and stay the same, so that the documents do not change under it."""
    return b"".join(
        hashlib.sha256(f"{server.id}/{server.reservation_id}/{index}".encode()).digest() for index in range(16)
    )


def _ec2_id(prefix: str, text: str) -> str:
    return f"{prefix}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _devices(disks: list[Device], ports: list[PortInfo]) -> list[dict[str, Any]]:
    """The tagged devices, by what a guest can recognise them by."""
    found: list[dict[str, Any]] = [
        {"type": "nic", "bus": "pci", "address": "", "mac": port.mac, "tags": [port.tag]} for port in ports if port.tag
    ]
    for disk in disks:
        if disk.tag and disk.volume_id:
            found.append(
                {
                    "type": "disk",
                    "bus": "virtio",
                    "address": "",
                    "serial": disk.volume_id[:20],
                    "path": disk.device_name,
                    "tags": [disk.tag],
                }
            )
    return found


def _network(name: str, link: str, port: PortInfo, address: AddressInfo) -> dict[str, Any]:
    subnet = address.subnet
    found: dict[str, Any] = {
        "id": name,
        "link": link,
        "network_id": port.network_id,
        "type": f"ipv{subnet.version}_dhcp" if subnet.dhcp else f"ipv{subnet.version}",
    }
    if subnet.dhcp:
        return found
    mask = _mask(address.prefix) if subnet.version == 4 else _mask6(address.prefix)
    routes = [
        {"network": _base(route.destination), "netmask": _net_mask(route.destination), "gateway": route.nexthop}
        for route in subnet.routes
    ]
    if subnet.gateway:
        everywhere = ("0.0.0.0", "0.0.0.0") if subnet.version == 4 else ("::", "::")  # noqa: S104
        routes.insert(0, {"network": everywhere[0], "netmask": everywhere[1], "gateway": subnet.gateway})
    found.update(
        {
            "ip_address": address.address,
            "netmask": mask,
            "routes": routes,
            "services": [{"type": "dns", "address": each} for each in subnet.dns],
        }
    )
    return found


def _mask(prefix: int) -> str:
    return str(ipaddress.IPv4Network((0, prefix)).netmask)


def _mask6(prefix: int) -> str:
    return str(ipaddress.IPv6Network((0, prefix)).netmask)


def _base(cidr: str) -> str:
    return cidr.partition("/")[0]


def _net_mask(cidr: str) -> str:
    return str(ipaddress.ip_network(cidr, strict=False).netmask)
