# SPDX-License-Identifier: Apache-2.0
"""Why a server is as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.explain import Explain, Explanation, ask_host
from cumulet.services.block_storage.contract import VolumesContract
from cumulet.services.compute.logic import attempts, hosts, parts, scheduling, servers
from cumulet.services.compute.store import actions
from cumulet.services.compute.store import devices as devices_store
from cumulet.services.compute.store import hosts as hosts_store
from cumulet.services.compute.store import servers as store
from cumulet.services.compute.types import PowerState, Server, VmState
from cumulet.services.network.contract import NetworkContract
from cumulet.services.placement.contract import PlacementContract

ACTIONS = 5  # the newest ones that are shown
# What the hypervisor should do with a server that nothing is being done to.
_POWERS = {
    VmState.ACTIVE: PowerState.RUNNING,
    VmState.PAUSED: PowerState.PAUSED,
    VmState.STOPPED: PowerState.SHUTDOWN,
}


def server(cloud: Cloud, key: str, asked: Mapping[str, str]) -> Explanation | None:
    """Its owner, states, allocation, host, ports, volumes and latest actions."""
    found = store.find_any(cloud.db, key)
    if found is None:
        return None
    told = Explanation(
        kind="server",
        id=found.id,
        name=found.name,
        state="DELETED" if found.deleted_at else servers.status(found),
        owner={"project": found.project_id, "user": found.user_id},
        facts=_facts(found),
        host=found.host,
        events=_events(cloud, found),
    )
    if found.deleted_at is None:
        told.facts["allocation"] = _allocation(cloud, found)
        if not (held := parts.held_by(cloud.db, found.id)).is_empty:
            told.facts["own_parts"] = msgspec.to_builtins(held)
        if not found.host:
            told.facts["hosts"] = {
                host: by or "would take it" for host, by in scheduling.refusals(cloud, found).items()
            }
        told.parts = [*_ports(cloud, found), *_volumes(cloud, found)]
        told.reported = _reported(cloud, found)
        _judge(cloud, found, told)
    return told


def _facts(found: Server) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "vm_state": found.vm_state,
        "task_state": found.task_state,
        "power_state": PowerState(found.power_state).name,
        "flavor": found.kind.name,
        "image": found.image_id or None,
        "created": clock.iso_z(found.created_at),
        "updated": clock.iso_z(found.updated_at),
    }
    if found.fault:
        facts["fault"] = found.fault.get("message")
    if found.locked_by:
        facts["locked_by"] = found.locked_by
    return facts


def _allocation(cloud: Cloud, found: Server) -> Any:
    held = cloud.contracts.use(PlacementContract).allocation(cloud.db, found.id)
    return None if held is None else {name: dict(amounts) for name, amounts in held.resources.items()}


def _ports(cloud: Cloud, found: Server) -> list[dict[str, Any]]:
    ports = cloud.contracts.use(NetworkContract).ports_of(cloud.db, [found.id]).get(found.id, [])
    return [
        {
            "kind": "port",
            "id": port.id,
            "status": port.status,
            "network": port.network_name,
            "addresses": [item.address for item in port.addresses],
            "floating": [address for item in port.addresses for address in item.floating],
            "host": port.host,
        }
        for port in ports
    ]


def _volumes(cloud: Cloud, found: Server) -> list[dict[str, Any]]:
    devices = [device for device in devices_store.of_server(cloud.db, found.id) if device.volume_id]
    keys = [str(device.volume_id) for device in devices]
    known = cloud.contracts.use(VolumesContract).info(cloud.db, keys) if keys else {}
    return [
        {
            "kind": "volume",
            "id": device.volume_id,
            "status": known[str(device.volume_id)].status if device.volume_id in known else "gone",
            "device": device.device_name,
            "plugged": device.attached,
        }
        for device in devices
    ]


def _reported(cloud: Cloud, found: Server) -> dict[str, Any]:
    said = ask_host(cloud, found.host, "server.power", {"id": found.id})
    if isinstance(said.get("power"), int):
        return {"power_state": PowerState(said["power"]).name}
    return said


def _events(cloud: Cloud, found: Server) -> list[dict[str, Any]]:
    told = []
    for action in reversed(actions.of_server(cloud.db, found.id, limit=ACTIONS)):
        event: dict[str, Any] = {
            "at": clock.iso_z(action.start_time),
            "what": action.action,
            "request_id": action.request_id,
            "message": action.message,
        }
        event["steps"] = [
            {"what": step.event, "host": step.host, "result": step.result or "under way", "details": step.details}
            for step in actions.events(cloud.db, action.id)
        ]
        told.append(event)
    return told


def _judge(cloud: Cloud, found: Server, told: Explanation) -> None:
    _judge_host(cloud, found, told)
    if found.vm_state == VmState.ERROR:
        told.advice.append(_advice_for_error(found))
    wanted = _POWERS.get(found.state)
    power = told.reported.get("power_state")
    if found.task_state is None and wanted is not None and power not in (None, wanted.name):
        told.waiting.append(f"the host says {power}, the server should be {wanted.name}")
        told.advice.append("Start it (openstack server start), or reboot it hard.")
    if found.vm_state == VmState.ACTIVE:
        for part in told.parts:
            if part["kind"] == "port" and part["status"] != "ACTIVE":
                told.waiting.append(f"port {part['id']} is {part['status']}")
                told.advice.append(f"cumulet explain port {part['id']}")


def _judge_host(cloud: Cloud, found: Server, told: Explanation) -> None:
    if not found.host:
        if found.vm_state != VmState.ERROR:
            told.waiting.append("no host has been chosen yet")
        return
    host = hosts_store.find(cloud.db, found.host)
    if host is None:
        told.advice.append(f"Compute does not know the host {found.host}: was it removed?")
    elif not hosts.is_up(cloud, host):
        told.advice.append(f"Compute counts {found.host} as down (openstack compute service list).")


def _advice_for_error(found: Server) -> str:
    code, message = (str((found.fault or {}).get(name, "")) for name in ("code", "message"))
    if attempts.is_about_attempts(message):
        return (
            "Every host that was tried failed to build it (the steps below say which, and why): look into the logs of "
            "those hosts under its first request, mend the cause, then delete the server and make it anew."
        )
    if not found.host:
        return (
            "No host took it: look for one with room (openstack hypervisor list --long) that the flavor, the "
            "availability zone and the hints allow; then delete the server and make it anew."
        )
    if code.startswith("4"):
        return "What was asked for cannot be had: mend that, then delete the server and make it anew."
    return "Look into the logs under its last request, mend the cause, then reboot it hard or make it anew."


EXPLAINS: dict[str, Explain] = {"server": server}
