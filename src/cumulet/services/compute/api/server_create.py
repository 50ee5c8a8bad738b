# SPDX-License-Identifier: Apache-2.0
"""`POST /servers`: from the body to what is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel.errors import Forbidden, Invalid
from cumulet.kernel.http import Reply, Request
from cumulet.kernel.ids import is_uuid
from cumulet.services.compute.api import server_devices
from cumulet.services.compute.api import server_views as views
from cumulet.services.compute.api.common import self_link
from cumulet.services.compute.api.fields import as_boolean
from cumulet.services.compute.logic import create as logic
from cumulet.services.compute.logic.mappings import DeviceRequest
from cumulet.services.compute.logic.personality import File
from cumulet.services.network.contract import PortRequest

_RULE = "os_compute_api:servers:create"
_DEFAULT_GROUPS = [{"name": "default"}]


def create(request: Request) -> Reply:
    """202 with the first server's id, or the reservation's."""
    body = request.body["server"]
    password = body.get("adminPass") or logic.generate_password()
    made = logic.create(request.cloud, request.ctx, wanted(request))
    if as_boolean(body.get("return_reservation_id", False)):
        return Reply(202, {"reservation_id": made[0].reservation_id})
    view = views.created(request, made[0], body.get("security_groups", _DEFAULT_GROUPS), password)
    return Reply(202, {"server": view}, {"Location": self_link(request, "servers", made[0].id)})


def files(body: Mapping[str, Any]) -> list[File]:
    """The files that the user puts into the server; Invalid where one has no path or no contents."""
    try:
        return msgspec.convert(body.get("personality", []), list[File])
    except msgspec.ValidationError as error:
        raise Invalid(f"Bad personality format: {error}") from None


def wanted(request: Request) -> logic.Wanted:
    """The request in logic's words; Invalid or Forbidden for what contradicts itself or rules."""
    body, version = request.body["server"], request.version
    least = int(body.get("min_count", 1))
    most = int(body.get("max_count", least))
    if least > most:
        raise Invalid("min_count must be <= max_count")
    hostname = body.get("hostname")
    if hostname is not None and most > 1:
        raise Invalid("Unable to allocate a single hostname to multiple instances", code="AmbiguousHostname")
    zone, host = _zone_and_host(request, body)
    devices = server_devices.asked(body)
    if devices:
        request.require(f"{_RULE}:attach_volume")
    networks, none = _networks(body.get("networks"))
    if networks:
        request.require(f"{_RULE}:attach_network")
    if body.get("trusted_image_certificates"):
        request.require(f"{_RULE}:trusted_certs")
    disk_config = body.get("OS-DCF:diskConfig")
    hints = request.body.get("os:scheduler_hints", request.body.get("OS-SCH-HNT:scheduler_hints", {}))
    groups = body.get("security_groups")
    return logic.Wanted(
        name=body["name"].strip(),
        description=body.get("description") if version >= (2, 19) else body["name"].strip(),
        hostname=hostname,
        flavor_id=_flavor_id(body["flavorRef"]),
        image_id=_image_id(body, devices),
        networks=networks,
        no_networks=none,
        security_groups=None
        if groups is None
        else list(dict.fromkeys(group["name"] for group in groups if "name" in group)),
        key_name=body.get("key_name"),
        user_data=body.get("user_data"),
        config_drive=as_boolean(body.get("config_drive", False)),
        files=files(body),
        metadata=body.get("metadata", {}),
        zone=zone,
        host=host,
        devices=devices,
        legacy_devices=not body.get("block_device_mapping_v2"),
        multiattach=version >= (2, 60),
        asking_ports=version >= (2, 72),
        least=least,
        most=most,
        tags=body.get("tags", []),
        auto_disk_config=None if disk_config is None else disk_config == "AUTO",
        access_ip_v4=body.get("accessIPv4"),
        access_ip_v6=body.get("accessIPv6"),
        scheduler_hints=hints,
        trusted_certs=body.get("trusted_image_certificates"),
    )


def _flavor_id(reference: Any) -> str:
    """An id, or the last part of a link."""
    return str(reference).rstrip("/").rpartition("/")[2]


def _image_id(body: dict[str, Any], devices: list[DeviceRequest]) -> str:
    reference = body.get("imageRef")
    if reference:
        return str(reference)
    if reference is None and not devices:
        raise Invalid("Invalid imageRef provided." if "imageRef" in body else "Missing imageRef attribute")
    if reference == "" and not devices:
        raise Invalid("Invalid imageRef provided.")
    return ""


def _zone_and_host(request: Request, body: dict[str, Any]) -> tuple[str | None, str]:
    """`zone:host:node` names a host too, which takes a rule of its own; so does `host` from 2.74 on."""
    zone, host = body.get("availability_zone"), ""
    if zone is not None and ":" in zone:
        parts = zone.split(":")
        if len(parts) > 3:
            raise Invalid("Unable to parse availability_zone", code="InvalidInput")
        request.require(f"{_RULE}:forced_host")
        zone, host = parts[0] or None, parts[1] or (parts[2] if len(parts) == 3 else "")
    wished = body.get("host") or body.get("hypervisor_hostname")
    if wished:
        if host:
            raise Invalid(
                "One mechanism with host and/or hypervisor_hostname and another mechanism with zone:host:node are "
                "mutually exclusive."
            )
        if not request.allows("compute:servers:create:requested_destination"):
            raise Forbidden("Policy doesn't allow compute:servers:create:requested_destination to be performed.")
        host = wished
    return zone, host


def _networks(asked: Any) -> tuple[list[PortRequest] | None, bool]:
    """The interfaces that were asked for (None: nothing was said), and whether none are wanted."""
    if asked is None:
        return None, False
    if asked == "auto":
        return [PortRequest(automatic=True)], False
    if asked == "none":
        return [], True
    ports: set[str] = set()
    found: list[PortRequest] = []
    for network in asked:
        port, address = network.get("port"), network.get("fixed_ip")
        if port:
            if port in ports:
                raise Invalid(f"Port ID '{port}' was specified twice: you cannot attach a port multiple times.")
            if address is not None:
                raise Invalid(
                    f"Specified Fixed IP '{address}' cannot be used with port '{port}': the two cannot be specified "
                    "together."
                )
            ports.add(port)
            found.append(PortRequest(port_id=port, tag=network.get("tag")))
        elif "uuid" not in network:
            raise Invalid("Bad network format: missing 'uuid'")
        elif not is_uuid(network["uuid"]):
            raise Invalid(f"Bad networks format: network uuid is not in proper format ({network['uuid']})")
        else:
            found.append(PortRequest(network_id=network["uuid"], address=address, tag=network.get("tag")))
    return found or None, False
