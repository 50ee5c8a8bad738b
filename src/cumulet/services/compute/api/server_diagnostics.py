# SPDX-License-Identifier: Apache-2.0
"""What is seen of a server from outside: diagnostics, the end of its console's log, its topology."""

from __future__ import annotations

from typing import Any

from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.schema import Schema
from cumulet.services.compute.api import fields
from cumulet.services.compute.api.common import server_target, the_server
from cumulet.services.compute.logic import parts
from cumulet.services.compute.logic import servers as logic
from cumulet.services.compute.types import PowerState, Server, VmState

_SERVER = "/servers/{server_id}"
_PREFIX = "os_compute_api"
_TOPOLOGY = "compute:server:topology"
MOST_CONSOLE = 100 * 1024  # bytes of a console's log in one answer
ANSWER = 20.0  # seconds that a host may take
_NO_QUERY = fields.query({}, closed_since=(2, 102))
_LENGTH = Schema(
    fields.wrapped(
        "os-getConsoleOutput",
        {
            "type": "object",
            "properties": {"length": {"type": ["integer", "string", "null"], "pattern": "^-?[0-9]+$", "minimum": -1}},
            "additionalProperties": False,
        },
    )
)
# Nova's words for what a hypervisor does with a server.
_POWERS = {
    PowerState.NOSTATE: "pending",
    PowerState.RUNNING: "running",
    PowerState.PAUSED: "paused",
    PowerState.SHUTDOWN: "shutdown",
    PowerState.CRASHED: "crashed",
}
_NIC_COUNTERS = tuple(
    f"{way}_{what}" for way in ("rx", "tx") for what in ("octets", "errors", "drop", "packets", "rate")
)


def diagnostics(request: Request) -> Reply:
    """Counters of a server that runs; their form is the hypervisor's own until 2.47."""
    server = the_server(request)
    if not server.host:
        raise _not_ready(server)
    power = PowerState(server.power_state)
    if power is not PowerState.RUNNING:
        raise logic.invalid_state(server, "get_diagnostics", "power state", _POWERS[power])
    found = request.cloud.hosts.call(server.host, "server.diagnostics", {"id": server.id}, timeout=ANSWER)
    if request.version < (2, 48):
        return Reply(200, _old_view(found))
    return Reply(200, _view(found, has_config_drive=server.config_drive))


def console_output(request: Request) -> Reply:
    """The end of the serial console's log, as text."""
    server = the_server(request)
    length = request.body["os-getConsoleOutput"].get("length")
    lines = None if length is None or int(length) < 0 else min(int(length), MOST_CONSOLE)
    if not server.host or server.state is VmState.BUILDING:
        raise _not_ready(server)
    try:
        body = {"id": server.id, "lines": lines}
        found = request.cloud.hosts.call(server.host, "server.console", body, timeout=ANSWER)["output"]
    except NotReady as error:
        raise Conflict("Unable to get console log, the host is away.") from error
    text = bytes(found)[-MOST_CONSOLE:].decode("utf-8", errors="replace")
    # As with Nova: what no XML takes, carriage returns too, and what follows the last line end counts as a line.
    plain = "".join(char for char in text if char in "\n\t" or char >= " ")
    if lines is not None:
        plain = "\n".join(plain.split("\n")[-lines:]) if lines else ""
    return Reply(200, {"output": plain})


def topology(request: Request) -> Reply:
    """Its NUMA nodes; of a server that asked for none there is nothing to tell."""
    server = the_server(request)
    shows_host = request.allows(f"{_TOPOLOGY}:host:index", {"project_id": server.project_id})
    nodes = parts.nodes_of(request.cloud, server)
    views: list[dict[str, Any]] = []
    for node in nodes:
        # Siblings are those of a guest whose nodes say how many threads a core has; none here do, as with Nova.
        view = {"vcpu_set": node.cpus, "siblings": [], "memory_mb": node.memory}
        if shows_host:
            pinning = {str(guest): host for guest, host in node.pins}
            view |= {"host_node": node.host_node, "cpu_pinning": pinning}
        views.append(view)
    sizes = [node.page_size for node in nodes if node.page_size]
    return Reply(200, {"nodes": views, "pagesize_kb": sizes[-1] if sizes else None})


def _not_ready(server: Server) -> Conflict:
    return Conflict(f"Instance {server.id} is not ready", code="InstanceNotReady")


def _view(found: dict[str, Any], *, has_config_drive: bool) -> dict[str, Any]:
    """The form that is the same for all hypervisors."""
    return {
        "config_drive": has_config_drive,
        "state": "running",
        "driver": "libvirt",
        "hypervisor": "qemu",
        "hypervisor_os": "linux",
        "uptime": found["uptime"],
        "num_cpus": len(found["cpu_times"]),
        "num_disks": len(found["disks"]),
        "num_nics": len(found["macs"]),
        "memory_details": {"maximum": found["memory"], "used": found["memory_used"]},
        "cpu_details": [
            {"id": index, "time": time, "utilisation": None} for index, time in enumerate(found["cpu_times"])
        ],
        "disk_details": [
            {
                "read_bytes": disk["read_bytes"],
                "read_requests": disk["read_requests"],
                "write_bytes": disk["write_bytes"],
                "write_requests": disk["write_requests"],
                "errors_count": disk["errors"],
            }
            for disk in found["disks"]
        ],
        "nic_details": [{"mac_address": mac, **dict.fromkeys(_NIC_COUNTERS)} for mac in found["macs"]],
    }


def _old_view(found: dict[str, Any]) -> dict[str, Any]:
    """The flat table that libvirt's driver gives: times in nanoseconds, memory in KiB."""
    memory = found["memory"] * 1024
    view: dict[str, Any] = {"memory": memory, "memory-actual": memory, "memory-rss": found["memory_used"] * 1024}
    for index, time in enumerate(found["cpu_times"]):
        view[f"cpu{index}_time"] = time
    for index, disk in enumerate(found["disks"]):
        name = _disk_name(index)
        view[f"{name}_read_req"], view[f"{name}_read"] = disk["read_requests"], disk["read_bytes"]
        view[f"{name}_write_req"], view[f"{name}_write"] = disk["write_requests"], disk["write_bytes"]
        view[f"{name}_errors"] = disk["errors"]
    return view


def _disk_name(index: int) -> str:
    """`vda` to `vdz`, then `vdaa`."""
    round_, letter = divmod(index, 26)
    return "vd" + (chr(ord("a") + round_ - 1) if round_ else "") + chr(ord("a") + letter)


ROUTES = (
    Route(
        "GET",
        f"{_SERVER}/diagnostics",
        diagnostics,
        f"{_PREFIX}:os-server-diagnostics",
        query=_NO_QUERY,
        target=server_target,
    ),
    Route(
        "GET",
        f"{_SERVER}/topology",
        topology,
        f"{_TOPOLOGY}:index",
        query=_NO_QUERY,
        since=(2, 78),
        target=server_target,
    ),
    Route(
        "POST",
        f"{_SERVER}/action",
        console_output,
        f"{_PREFIX}:os-console-output",
        body=_LENGTH,
        action="os-getConsoleOutput",
        target=server_target,
    ),
)
