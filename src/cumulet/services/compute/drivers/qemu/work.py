# SPDX-License-Identifier: Apache-2.0
"""Pieces of work on a running QEMU, each one conversation on its control monitor; each may be done twice."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from cumulet.kernel.errors import Conflict, CumuletError, NotReady
from cumulet.kernel.moment import Moment
from cumulet.kernel.qmp import Event, Monitor, QmpError
from cumulet.services.compute.drivers.base import Disk, DiskCounters
from cumulet.services.compute.drivers.qemu import guest_agent, hotplug
from cumulet.services.compute.drivers.qemu.command_line import (
    block_arguments,
    container_arguments,
    credentials,
    credentials_arguments,
    disk_arguments,
    interface_arguments,
    is_of_volume,
    key_object,
    opened_node,
    port_device,
    port_netdev,
    volume_device,
    volume_node,
)
from cumulet.services.compute.types import Guest, PortSpec, VolumeSpec

T = TypeVar("T")
Job: TypeAlias = Callable[..., Awaitable[T]]

# A guest in the middle of its boot does not hear the first requests; it is asked again.
UNPLUG_TRIES = 6
UNPLUG_TIMEOUT = 5.0  # seconds for each try
COPY_TIMEOUT = 3600.0
COPY_JOB = "copy"
COPY_NODE = "copy-target"
_PERIPHERAL = "/machine/peripheral/"
# libvirt's names of limits, by which they are told, and QEMU's.
_RATES = {
    f"{way}_{unit}_sec": f"{word}{end}"
    for unit, word in (("bytes", "bps"), ("iops", "iops"))
    for way, end in (("total", ""), ("read", "_rd"), ("write", "_wr"))
}
_ENDS = ("BLOCK_JOB_COMPLETED", "BLOCK_JOB_CANCELLED")
_IS_LOCKED = '" lock'  # QEMU's words for a disk that another process has open, maybe on another host


def refusal(words: str) -> CumuletError:
    """What QEMU has said no with: NotReady where a disk is open elsewhere, for it may not be later."""
    if _IS_LOCKED in words:
        return NotReady("A disk of the server is open somewhere else.", code="HypervisorFailed")
    return Conflict(words, code="HypervisorFailed")


async def press_power_button(monitor: Monitor) -> None:
    """A paused guest could not hear it, so it is let go first."""
    if await status(monitor) in ("paused", "io-error"):
        await monitor.execute("cont")
    await monitor.execute("system_powerdown")


async def pause(monitor: Monitor) -> None:
    await monitor.execute("stop")


async def unpause(monitor: Monitor) -> None:
    await monitor.execute("cont")


async def interrupt(monitor: Monitor) -> None:
    await monitor.execute("inject-nmi")


async def status(monitor: Monitor) -> str:
    """QEMU's word for its state (`running`, `paused`)."""
    found: str = (await monitor.execute("query-status"))["status"]
    return found


async def attach_disk(monitor: Monitor, volume: VolumeSpec, disk: Disk, guest: Guest) -> None:
    node = volume_node(volume.volume_id)
    if await device_of_node(monitor, node) is not None:
        await limit_disks(monitor, [volume])
        return
    if not await _has_node(monitor, node):
        # Certificates may have been renewed since an earlier try.
        await _remove_object(monitor, credentials(node))
        if (secret := credentials_arguments(node, disk)) is not None:
            await monitor.send("object-add", secret)
        await monitor.send("blockdev-add", block_arguments(node, disk, read_only=volume.read_only))
    if disk.key and not await _has_node(monitor, opened_node(node)):
        await _open_container(monitor, node, disk.key, read_only=volume.read_only)
    await _plug_disk(monitor, volume, disk, guest)
    await limit_disks(monitor, [volume])


async def _plug_disk(monitor: Monitor, volume: VolumeSpec, disk: Disk, guest: Guest) -> None:
    node = volume_node(volume.volume_id)
    arguments = disk_arguments(volume)
    if disk.key:
        arguments["drive"] = opened_node(node)
    while await _has_device(monitor, arguments["id"]):
        # Another volume has taken the place of this one in a device that has kept its name.
        arguments["id"] += "-again"
    try:
        bus = volume.bus or guest.disk_bus
        await monitor.send("device_add", await hotplug.drive(monitor, guest, bus, arguments))
    except (QmpError, Conflict):
        await remove_disk(monitor, node)
        raise


async def _open_container(monitor: Monitor, node: str, key: str, *, read_only: bool) -> None:
    await _remove_object(monitor, key_object(node))
    try:
        await monitor.send("object-add", {"qom-type": "secret", "id": key_object(node), "data": key})
        await monitor.send("blockdev-add", container_arguments(node, read_only=read_only))
    except QmpError:
        await remove_disk(monitor, node)
        raise


async def limit_disks(monitor: Monitor, volumes: Sequence[VolumeSpec]) -> None:
    """Keep volumes that the guest has just got to their limits."""
    for volume in volumes:
        if volume.limits:
            await limit_disk(monitor, volume_node(volume.volume_id), volume.limits)


async def limit_disk(monitor: Monitor, node: str, limits: Mapping[str, int]) -> None:
    """Keep a disk of the guest to `limits`, and to no others; nothing happens where no device shows it."""
    rates = {word: limits.get(name, 0) for name, word in _RATES.items()}
    bursts = {
        f"{word}{end}": limits[f"{name}{end}"]
        for name, word in _RATES.items()
        for end in ("_max", "_max_length")
        if f"{name}{end}" in limits
    }
    size = {"iops_size": limits["size_iops_sec"]} if "size_iops_sec" in limits else {}
    for entry in await monitor.execute("query-block"):
        if _shows(entry, node) and entry.get("qdev"):
            await monitor.send("block_set_io_throttle", {"id": entry["qdev"], **rates, **bursts, **size})


async def detach_disk(monitor: Monitor, volume_id: str) -> None:
    """Raises Conflict (DeviceDetachFailed) where the guest holds on to it."""
    node = volume_node(volume_id)
    await _unplug(monitor, await device_of_node(monitor, node) or volume_device(volume_id))
    for entry in await monitor.execute("query-named-block-nodes"):
        if entry["node-name"].startswith("mv") and is_of_volume(entry["node-name"], node):
            await remove_disk(monitor, entry["node-name"])
    await remove_disk(monitor, node)


async def has_port(monitor: Monitor, port_id: str) -> bool:
    return await _has_device(monitor, port_device(port_id))


async def attach_port(monitor: Monitor, port: PortSpec, queues: Sequence[int], guest: Guest) -> None:
    netdev = port_netdev(port.id)
    names = [f"{netdev}-{number}" for number, _ in enumerate(queues)]
    for name, handle in zip(names, queues, strict=True):
        await monitor.execute("getfd", send_fd=handle, fdname=name)
    handles = {"fd": names[0]} if len(names) == 1 else {"fds": ":".join(names)}
    await monitor.send("netdev_add", {"type": "tap", "id": netdev, **handles})
    device: dict[str, Any] = dict(interface_arguments(port, guest))
    device |= {name: int(device[name]) for name in ("host_mtu", "vectors") if name in device}
    device |= {name: True for name in ("packed", "mq") if name in device}
    try:
        await monitor.send("device_add", await hotplug.slot(monitor, guest, device))
    except (QmpError, Conflict):
        await monitor.execute("netdev_del", id=netdev)
        raise


async def detach_port(monitor: Monitor, port_id: str) -> None:
    """Raises Conflict (DeviceDetachFailed) where the guest holds on to it."""
    await _unplug(monitor, port_device(port_id))
    try:
        await monitor.execute("netdev_del", id=port_netdev(port_id))
    except QmpError as error:
        if "not found" not in str(error):
            raise


async def resize_disk(monitor: Monitor, node: str, size: int) -> None:
    """`size` is that of the volume; the guest's disk is smaller by the header where the volume is a container."""
    node = await current_node(monitor, node)
    for entry in await monitor.execute("query-named-block-nodes"):
        if entry["node-name"] in (node, opened_node(node)) and entry["drv"] == "luks":
            node, size = entry["node-name"], size - int(entry["image"]["format-specific"]["data"]["payload-offset"])
    try:
        await monitor.execute("block_resize", node_name=node, size=size)
    except QmpError as error:
        if "NBD" not in str(error):
            raise
        # Another host's disk has grown already. QEMU hears of it when it comes back to it, with the next request.
        await monitor.execute("human-monitor-command", command_line=f'qemu-io {node} "read 0 512"')
        await monitor.execute("block_resize", node_name=node, size=size)


async def snapshot_disk(monitor: Monitor, node: str, name: str, agent: Path | None, required: bool) -> None:
    """Where that is `required` an `agent` holds the guest's file systems meanwhile; Conflict where it cannot."""
    node = await current_node(monitor, node)
    device = await _device_of_node(monitor, node)
    if not await _has_snapshot(monitor, node, name):
        async with guest_agent.held(agent if required else None, required=required):
            await monitor.execute("blockdev-snapshot-internal-sync", device=device, name=name)


async def drop_disk_snapshot(monitor: Monitor, node: str, name: str) -> None:
    node = await current_node(monitor, node)
    device = await _device_of_node(monitor, node)
    if await _has_snapshot(monitor, node, name):
        await monitor.execute("blockdev-snapshot-delete-internal-sync", device=device, name=name)


async def _has_snapshot(monitor: Monitor, node: str, name: str) -> bool:
    return any(
        each["name"] == name
        for entry in await monitor.execute("query-named-block-nodes")
        if entry["node-name"] in (node, node_below(node))
        for each in entry.get("image", {}).get("snapshots", [])
    )


async def copy_disk(monitor: Monitor, node: str, target: Disk, agent: Path | None, required: bool) -> None:
    """Copy a disk as of this moment while the guest writes on.

    For that moment an `agent` holds the guest's file systems; Conflict where that is `required` and cannot be.
    """
    async with guest_agent.held(agent, required=required) as release:
        await copy_disks(monitor, {node: target}, release)


async def copy_disks(
    monitor: Monitor,
    targets: Mapping[str, Disk],
    begun: Callable[[], Awaitable[None]] | None = None,
    moment: Moment | None = None,
) -> None:
    """Copy disks, by node, all as of one and the same moment, of which `begun` hears, while the guest writes on.

    For a `moment` that is shared with others the guest stands still.
    """
    await end_copies(monitor)
    copies = {f"{COPY_JOB}-{number}": (node, f"{COPY_NODE}-{number}") for number, node in enumerate(targets)}
    try:
        for node, target_node in copies.values():
            await monitor.send("blockdev-add", block_arguments(target_node, targets[node]))
        sources = {node: await current_node(monitor, node) for node in targets}
        actions = [
            {
                "type": "blockdev-backup",
                "data": {"job-id": job, "device": sources[node], "target": target, "sync": "full"},
            }
            for job, (node, target) in copies.items()
        ]
        async with _standing_still(monitor, moment):
            await monitor.send("transaction", {"actions": actions})
        if begun is not None:
            await begun()
        for _ in copies:
            ended = await monitor.wait(_is_end_of_copy, COPY_TIMEOUT)
            if ended["event"] == "BLOCK_JOB_CANCELLED" or "error" in ended["data"]:
                raise QmpError("GenericError", ended["data"].get("error", "the copy was cancelled"))
    finally:
        await end_copies(monitor)


@asynccontextmanager
async def _standing_still(monitor: Monitor, moment: Moment | None) -> AsyncIterator[None]:
    """Hold the guest from the moment on until all have begun; QEMU has then written out what was under way."""
    if moment is None:
        yield
        return
    await moment.async_ready()
    runs = (await monitor.execute("query-status"))["running"]
    try:
        if runs:
            await monitor.execute("stop")
        await moment.async_still()
        yield
        await moment.async_begun()
    finally:
        if runs:
            await monitor.execute("cont")


async def end_copies(monitor: Monitor) -> None:
    """Cancel copies under way and close their targets: those of this one, and what one that was killed left."""
    for job in await monitor.execute("query-block-jobs"):
        if job["device"].startswith(COPY_JOB):
            await monitor.execute("block-job-cancel", device=job["device"], force=True)
            await monitor.wait(_is_end_of_copy, COPY_TIMEOUT)
    for entry in await monitor.execute("query-named-block-nodes"):
        if entry["node-name"].startswith(COPY_NODE):
            await monitor.execute("blockdev-del", node_name=entry["node-name"])


async def counters(monitor: Monitor) -> tuple[int, list[DiskCounters], list[str]]:
    """Memory in bytes, the disks' counters, the interfaces' addresses."""
    memory = (await monitor.execute("query-memory-size-summary"))["base-memory"]
    disks = [
        DiskCounters(
            read_bytes=entry["stats"]["rd_bytes"],
            read_requests=entry["stats"]["rd_operations"],
            write_bytes=entry["stats"]["wr_bytes"],
            write_requests=entry["stats"]["wr_operations"],
            errors=entry["stats"]["failed_rd_operations"] + entry["stats"]["failed_wr_operations"],
        )
        for entry in await monitor.execute("query-blockstats")
    ]
    macs: list[str] = []
    for device in await monitor.execute("qom-list", path="/machine/peripheral"):
        if device["name"].startswith("nic-"):
            path = f"/machine/peripheral/{device['name']}"
            macs.append(await monitor.execute("qom-get", path=path, property="mac"))
    return memory, disks, macs


def process_counters(pid: int) -> tuple[int, int, list[int]]:
    """A process's age in seconds, its resident bytes and, for each thread that runs a processor, its nanoseconds."""
    ticks = os.sysconf("SC_CLK_TCK")
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    age = float(Path("/proc/uptime").read_text().split()[0]) - int(fields[19]) / ticks
    times: list[int] = []
    for thread in sorted(Path(f"/proc/{pid}/task").iterdir(), key=lambda path: int(path.name)):
        if "CPU " in (thread / "comm").read_text():
            spent = (thread / "stat").read_text().rsplit(")", 1)[1].split()
            times.append((int(spent[11]) + int(spent[12])) * 1_000_000_000 // ticks)
    return int(age), int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), times


async def _unplug(monitor: Monitor, device: str) -> None:
    for _attempt in range(UNPLUG_TRIES):
        if not await _has_device(monitor, device):
            return
        try:
            await monitor.execute("device_del", id=device)
        except QmpError as error:
            if error.kind == "DeviceNotFound":
                return
            # An earlier request is still on its way to the guest: its answer is awaited below.
            if "in the process of unplug" not in str(error):
                raise
        try:
            await monitor.wait(lambda event: _is_unplugged(event, device), UNPLUG_TIMEOUT)
        except TimeoutError:
            continue
        return
    raise Conflict("the guest does not let go of the device", code="DeviceDetachFailed")


def _is_unplugged(event: Event, device: str) -> bool:
    return bool(event["event"] == "DEVICE_DELETED" and event["data"].get("device") == device)


def _is_end_of_copy(event: Event) -> bool:
    return event["event"] in _ENDS and bool(event["data"]["device"].startswith(COPY_JOB))


async def device_of_node(monitor: Monitor, node: str) -> str | None:
    """The id of the guest's device that shows the disk; None where none does."""
    for entry in await monitor.execute("query-block"):
        if _shows(entry, node) and entry.get("qdev"):
            path = str(entry["qdev"]).removeprefix(_PERIPHERAL)
            return path.partition("/")[0]
    return None


def _shows(entry: Mapping[str, Any], node: str) -> bool:
    """Whether a device that `query-block` tells of shows the disk, or what is in that container."""
    return is_of_volume(entry.get("inserted", {}).get("node-name", ""), node)


async def shown_node(monitor: Monitor, node: str) -> str | None:
    """The name of the node by which a device shows the volume with this ordinary name; None where none does."""
    for entry in await monitor.execute("query-block"):
        if _shows(entry, node) and entry.get("qdev"):
            return str(entry["inserted"]["node-name"])
    return None


async def current_node(monitor: Monitor, node: str) -> str:
    """The name of the node that is the disk: another than the ordinary one where the volume has moved."""
    shown = await shown_node(monitor, node)
    return shown if shown is not None and shown.startswith("mv") else node


def node_below(node: str) -> str:
    """The name of the node that is the volume, where what stands above it has taken another's place."""
    return f"{node}-below"


async def remove_disk(monitor: Monitor, node: str) -> None:
    """Close the disk, which no device shows; nothing happens where it is not open."""
    for each in (opened_node(node), node, node_below(node)):
        if await _has_node(monitor, each):
            await monitor.execute("blockdev-del", node_name=each)
    await _remove_object(monitor, key_object(node))
    await _remove_object(monitor, credentials(node))


async def _remove_object(monitor: Monitor, name: str) -> None:
    names = [entry["name"] for entry in await monitor.execute("qom-list", path="/objects")]
    if name in names:
        await monitor.execute("object-del", id=name)


async def _has_device(monitor: Monitor, device: str) -> bool:
    return any(entry["name"] == device for entry in await monitor.execute("qom-list", path="/machine/peripheral"))


async def _has_node(monitor: Monitor, node: str) -> bool:
    return any(entry["node-name"] == node for entry in await monitor.execute("query-named-block-nodes"))


async def _device_of_node(monitor: Monitor, node: str) -> str:
    """The name by which the older commands know the disk; they take the node's where there is no other."""
    for entry in await monitor.execute("query-block"):
        if entry.get("inserted", {}).get("node-name") == node:
            return str(entry["device"] or node)
    return node
