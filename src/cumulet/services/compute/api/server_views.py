# SPDX-License-Identifier: Apache-2.0
"""How servers look, at each microversion."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from ipaddress import IPv6Address
from typing import Any

import msgspec

from cumulet.kernel.http import Request
from cumulet.services.compute.api import common
from cumulet.services.compute.logic import hosts, servers
from cumulet.services.compute.types import ComputeHost, Device, Server, VmState
from cumulet.services.network.contract import GroupInfo, NetworkContract, PortInfo

_WITH_PROGRESS = ("ACTIVE", "BUILD", "REBUILD", "RESIZE", "VERIFY_RESIZE", "MIGRATING")
_WITH_FAULT = ("ERROR", "DELETED")
_ATTRIBUTES = "os_compute_api:os-extended-server-attributes"
_HOST_STATUS = "os_compute_api:servers:show:host_status"
_EXTRA_SPECS = "os_compute_api:servers:show:flavor-extra-specs"


class Surroundings(msgspec.Struct, kw_only=True):
    """What belongs to the servers of one answer, read once for all of them."""

    ports: dict[str, list[PortInfo]]
    groups: dict[str, list[GroupInfo]]
    devices: dict[str, list[Device]]
    tags: dict[str, list[str]]
    hosts: dict[str, ComputeHost]
    up: set[str]
    zones: dict[str, str]
    verdicts: dict[tuple[str, str, str], bool] = {}

    def allow(self, request: Request, rule: str, server: Server) -> bool:
        """Whether the caller passes the rule on the server; asked once for all servers of one owner."""
        key = (rule, server.project_id, server.user_id)
        if key not in self.verdicts:
            target = {"project_id": server.project_id, "user_id": server.user_id}
            self.verdicts[key] = request.allows(rule, target)
        return self.verdicts[key]


def surroundings(request: Request, found: list[Server]) -> Surroundings:
    """Read what the views of these servers need."""
    cloud = request.cloud
    ids = [server.id for server in found]
    network = cloud.contracts.use(NetworkContract)
    ports, groups = network.ports_and_groups_of(cloud.db, ids) if ids else ({}, {})
    known = {host.name: host for host in hosts.find_all(cloud.db)}
    return Surroundings(
        ports=ports,
        groups=groups,
        devices=servers.devices_of(cloud.db, ids),
        tags=servers.tags_of(cloud.db, ids) if request.version >= (2, 26) else {},
        hosts=known,
        up={name for name, host in known.items() if hosts.is_up(cloud, host)},
        zones=hosts.zones_of(cloud.db, {server.host for server in found if server.host}),
    )


def basic(request: Request, server: Server) -> dict[str, Any]:
    """A server in a short list."""
    return {"id": server.id, "name": server.name, "links": common.links(request, "servers", server.id)}


def created(request: Request, server: Server, groups: list[dict[str, str]], password: str) -> dict[str, Any]:
    """The answer to a creation."""
    return {
        "id": server.id,
        "links": common.links(request, "servers", server.id),
        "OS-DCF:diskConfig": _disk_config(server),
        "security_groups": groups,
        "adminPass": password,
    }


def detailed(request: Request, server: Server, around: Surroundings) -> dict[str, Any]:
    """A server with all that the caller's version and rules show."""
    status = servers.status(server)
    view: dict[str, Any] = {
        "accessIPv4": server.access_ip_v4 or "",
        "accessIPv6": str(IPv6Address(server.access_ip_v6)) if server.access_ip_v6 else "",
        "addresses": {} if server.state is VmState.BUILDING else addresses(around.ports.get(server.id, [])),
        "created": common.iso(server.created_at),
        "flavor": _flavor(request, server, around),
        "hostId": host_id(server.project_id, server.host),
        "id": server.id,
        "image": _image(request, server),
        "links": common.links(request, "servers", server.id),
        "metadata": server.metadata,
        "name": server.name,
        "status": status,
        "tenant_id": server.project_id,
        "user_id": server.user_id,
        "updated": common.iso(server.updated_at),
        "OS-DCF:diskConfig": _disk_config(server),
        "OS-EXT-AZ:availability_zone": around.zones.get(server.host, server.availability_zone or ""),
        "config_drive": "True" if server.config_drive else "",
        "key_name": server.keypair["name"] if server.keypair is not None else None,
        "OS-SRV-USG:launched_at": common.micro(server.launched_at),
        "OS-SRV-USG:terminated_at": common.micro(server.terminated_at),
        "OS-EXT-STS:task_state": server.task_state,
        "OS-EXT-STS:vm_state": server.vm_state,
        "OS-EXT-STS:power_state": server.power_state,
        "os-extended-volumes:volumes_attached": _volumes(request, around.devices.get(server.id, [])),
    }
    if status in _WITH_FAULT and server.fault is not None:
        view["fault"] = _fault(request, server.fault)
    if status in _WITH_PROGRESS:
        view["progress"] = server.progress
    groups = list(dict.fromkeys(group.name for group in around.groups.get(server.id, [])))
    if groups:
        view["security_groups"] = [{"name": name} for name in groups]
    shows_attributes = around.allow(request, _ATTRIBUTES, server)
    if shows_attributes:
        view.update(_attributes(request, server))
    view.update(_later(request, server, around))
    if request.version >= (2, 90) and not shows_attributes:
        view["OS-EXT-SRV-ATTR:hostname"] = server.hostname
    return view


def addresses(ports: list[PortInfo], *, extended: bool = True) -> dict[str, list[dict[str, Any]]]:
    """The addresses by the network's name; with their kind and MAC where `extended`."""
    found: dict[str, list[dict[str, Any]]] = {}
    for port in ports:
        for fixed in port.addresses:
            listed = found.setdefault(port.network_name, [])
            for address, kind in [(fixed.address, "fixed"), *((each, "floating") for each in fixed.floating)]:
                entry: dict[str, Any] = {"version": 6 if ":" in address else 4, "addr": address}
                if extended:
                    entry["OS-EXT-IPS:type"] = kind
                    entry["OS-EXT-IPS-MAC:mac_addr"] = port.mac
                listed.append(entry)
    return found


@lru_cache(1000)
def host_id(project_id: str, host: str) -> str:
    """A name for the host that differs from project to project."""
    return hashlib.sha224(f"{project_id}{host}".encode()).hexdigest() if host else ""


def host_status(host: ComputeHost | None, is_up: bool) -> str:
    if host is None:
        return ""
    if host.forced_down:
        return "DOWN"
    if not is_up:
        return "UNKNOWN"
    return "MAINTENANCE" if host.disabled else "UP"


def _later(request: Request, server: Server, around: Surroundings) -> dict[str, Any]:
    """The fields that came with microversions of their own."""
    version = request.version
    view: dict[str, Any] = {}
    if version >= (2, 9):
        view["locked"] = server.locked_by is not None
    if version >= (2, 16):
        status = host_status(around.hosts.get(server.host), server.host in around.up)
        allowed = around.allow(request, _HOST_STATUS, server)
        if allowed or (status == "UNKNOWN" and around.allow(request, f"{_HOST_STATUS}:unknown-only", server)):
            view["host_status"] = status
    if version >= (2, 19):
        view["description"] = server.description
    if version >= (2, 26):
        view["tags"] = around.tags.get(server.id, [])
    if version >= (2, 63):
        view["trusted_image_certificates"] = server.trusted_certs
    if version >= (2, 73):
        view["locked_reason"] = server.locked_reason
    if version >= (2, 96):
        view["pinned_availability_zone"] = server.availability_zone
    if version >= (2, 100):
        view["scheduler_hints"] = server.scheduler_hints
    return view


def _attributes(request: Request, server: Server) -> dict[str, Any]:
    prefix = "OS-EXT-SRV-ATTR"
    host = server.host or None
    words = server.image.get("properties", {})
    view: dict[str, Any] = {
        f"{prefix}:host": host,
        f"{prefix}:instance_name": f"instance-{server.id[:8]}",
        f"{prefix}:hypervisor_hostname": host,
    }
    if request.version >= (2, 3):
        view[f"{prefix}:hostname"] = server.hostname
        view[f"{prefix}:kernel_id"] = words.get("kernel_id", "")
        view[f"{prefix}:launch_index"] = server.launch_index
        view[f"{prefix}:ramdisk_id"] = words.get("ramdisk_id", "")
        view[f"{prefix}:reservation_id"] = server.reservation_id
        view[f"{prefix}:root_device_name"] = server.root_device_name
        view[f"{prefix}:user_data"] = server.user_data
    return view


def _flavor(request: Request, server: Server, around: Surroundings) -> dict[str, Any]:
    flavor = server.kind
    if request.version < (2, 47):
        link = {"rel": "bookmark", "href": common.bookmark(request, "flavors", flavor.id)}
        return {"id": flavor.id, "links": [link]}
    view: dict[str, Any] = {
        "vcpus": flavor.vcpus,
        "ram": flavor.ram,
        "disk": flavor.disk,
        "ephemeral": flavor.ephemeral,
        "swap": flavor.swap,
        "original_name": flavor.name,
    }
    if around.allow(request, _EXTRA_SPECS, server):
        view["extra_specs"] = flavor.extra_specs
    return view


def _image(request: Request, server: Server) -> Any:
    if not server.image_id:
        return ""
    link = {"rel": "bookmark", "href": common.bookmark(request, "images", server.image_id)}
    view: dict[str, Any] = {"id": server.image_id, "links": [link]}
    if request.version >= (2, 98):
        properties = dict(server.image.get("properties", {}))
        view["properties"] = {name: value for name, value in properties.items() if name.startswith(("hw_", "os_"))}
    return view


def _volumes(request: Request, devices: list[Device]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for device in devices:
        if device.volume_id is not None:
            entry: dict[str, Any] = {"id": device.volume_id}
            if request.version >= (2, 3):
                entry["delete_on_termination"] = device.delete_on_termination
            found.append(entry)
    return found


def _fault(request: Request, fault: dict[str, Any]) -> dict[str, Any]:
    view = {name: fault[name] for name in ("code", "created", "message")}
    if fault.get("details") and (request.ctx.is_admin or fault["code"] != 500):
        view["details"] = fault["details"]
    return view


def _disk_config(server: Server) -> str:
    return "AUTO" if server.auto_disk_config else "MANUAL"
