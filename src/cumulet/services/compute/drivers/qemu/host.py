# SPDX-License-Identifier: Apache-2.0
"""What the machine below QEMU has: processors, memory, disk, CPU model and features."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

from cumulet.services.compute.drivers import host_topology, parts, traits
from cumulet.services.compute.drivers.base import Capabilities, Usage
from cumulet.services.compute.drivers.parts import NO_RULES, Rules
from cumulet.services.compute.drivers.qemu import board, firmware, hardware, processor, tpm
from cumulet.services.compute.drivers.qemu.accelerator import Accelerator, probe, qemu_version
from cumulet.services.compute.drivers.qemu.command_line import PCI_SLOTS

GIB = 1 << 30
MIB = 1 << 20
# What QEMU's default processor has under TCG, whatever the host's own is.
_EMULATED_FEATURES = ["cx16", "mmx", "sse", "sse2", "sse3"]


def capabilities(
    folder: Path, wanted: str = "auto", cpu: Callable[[str], str] = lambda _: "", rules: Rules = NO_RULES
) -> Capabilities:
    """Probe the machine; `folder` is where servers' disks go, `wanted` an accelerator that needs no probe.

    `cpu(accelerator)` is the guests' processor where it is not the accelerator's own; `rules` say which parts servers
    may have for themselves.
    """
    accelerator = probe(folder / "accelerator.json") if wanted == "auto" else Accelerator(wanted, "chosen by setting")
    major, minor, micro = (int(part) for part in qemu_version().split("(")[0].strip().split(".")[:3])
    model, vendor, flags = _processor()
    is_native = accelerator.name == "kvm"
    chosen = cpu(accelerator.name)
    if chosen:
        model, flags = chosen.partition(",")[0], processor.features(chosen, accelerator.name)
    elif not is_native:
        model, flags = "qemu64", _EMULATED_FEATURES
    return Capabilities(
        hypervisor="QEMU",
        version=major * 1_000_000 + minor * 1_000 + micro,
        vcpus=len(os.sched_getaffinity(0)),
        memory=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // MIB,
        disk=shutil.disk_usage(folder).total // GIB,
        accelerator=accelerator.name,
        accelerator_reason=accelerator.reason,
        architecture="x86_64",
        cpu_model=model,
        cpu_vendor=vendor,
        features=flags,
        traits=traits.names(
            buses=board.BUSES,
            interfaces=hardware.INTERFACES,
            cards=hardware.CARDS,
            sounds=hardware.SOUNDS,
            iommus=hardware.IOMMUS,
            tpm=tpm.is_here(),
            secure_boot=firmware.find("q35", secure=True) is not None,
            addresses=is_native,
        ),
        max_interfaces=PCI_SLOTS,
        max_volumes=PCI_SLOTS,
        nodes=parts.nodes(host_topology.nodes(), rules),
        pci=parts.devices(host_topology.devices(), rules),
        gpus=parts.gpus(host_topology.gpus(), rules),
    )


def usage(folder: Path) -> Usage:
    """What is spent now: all memory that is not available, the disk below `folder`."""
    memory = _table(Path("/proc/meminfo"))
    used = (int(memory["MemTotal"].split()[0]) - int(memory["MemAvailable"].split()[0])) // 1024
    return Usage(
        memory_used=used,
        disk_used=shutil.disk_usage(folder).used // GIB,
        load=os.getloadavg(),
        uptime=time.clock_gettime(time.CLOCK_BOOTTIME),
    )


def _processor() -> tuple[str, str, list[str]]:
    table = _table(Path("/proc/cpuinfo"))
    return table.get("model name", ""), table.get("vendor_id", ""), sorted(table.get("flags", "").split())


def _table(path: Path) -> dict[str, str]:
    """`name: value` lines; the first of each name counts."""
    found: dict[str, str] = {}
    for line in path.read_text().splitlines():
        name, colon, value = line.partition(":")
        if colon:
            found.setdefault(name.strip(), value.strip())
    return found
