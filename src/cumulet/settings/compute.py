# SPDX-License-Identifier: Apache-2.0
"""Settings of servers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cumulet.settings.base import Section

CpuSet = Annotated[str, msgspec.Meta(pattern=r"^(\^?[0-9]+(-[0-9]+)?(,\^?[0-9]+(-[0-9]+)?)*)?$")]
Ratio = Annotated[float, msgspec.Meta(ge=0)]
InitialRatio = Annotated[float, msgspec.Meta(gt=0)]
Amount = Annotated[int, msgspec.Meta(ge=0)]
_RESERVED = r"^node=[0-9]+ size=[0-9]+ count=[0-9]+$"


class Compute(Section, frozen=True, kw_only=True):
    """Servers.

    The driver `libvirt` runs them by the daemon at `libvirt_uri`.
    `stop_timeout` is how long a guest may take to shut down, in seconds, before its power is cut. A resize that nobody
    confirms is confirmed after `resize_confirm_window` seconds; 0 leaves it to the user. `consoles` are the kinds that
    servers started from now on have; a token opens one within `console_token_ttl` seconds, from a page of this cloud
    or of one of the names in `console_allowed_origins`. `cpu_model` is guests' processor by QEMU's name for it, "" the
    host's own under KVM and `qemu64` without; `cpu_flags` are features that it has more (`aes`) or less (`-vmx`).
    Builds that failed on a host are counted, for the scheduler's BuildFailureWeigher, unless
    `consecutive_build_service_disable_threshold` is 0. A host keeps what is reserved to itself (MiB, processors) and
    promises the rest of a resource to servers as often as its allocation ratio says; 0: as the initial one says at the
    beginning, and then as users of placement do.
    """

    driver: Literal["qemu", "libvirt", "fake"] = "qemu"
    libvirt_uri: str = "qemu:///system"
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    cpu_model: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]*$")] = ""
    cpu_flags: tuple[Annotated[str, msgspec.Meta(pattern=r"^[-+]?[a-z0-9_.][a-z0-9_.-]*$")], ...] = ()
    cpu_dedicated_set: CpuSet = ""
    cpu_shared_set: CpuSet = ""
    cpu_allocation_ratio: Ratio = 0.0
    ram_allocation_ratio: Ratio = 0.0
    disk_allocation_ratio: Ratio = 0.0
    initial_cpu_allocation_ratio: InitialRatio = 4.0
    initial_ram_allocation_ratio: InitialRatio = 1.0
    initial_disk_allocation_ratio: InitialRatio = 1.0
    reserved_host_cpus: Amount = 0
    reserved_host_memory_mb: Amount = 512
    reserved_host_disk_mb: Amount = 0
    reserved_huge_pages: tuple[Annotated[str, msgspec.Meta(pattern=_RESERVED)], ...] = ()
    stop_timeout: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    resume_guests_state_on_host_boot: bool = True
    consecutive_build_service_disable_threshold: Annotated[int, msgspec.Meta(ge=0)] = 10
    shelved_offload_time: Annotated[int, msgspec.Meta(ge=-1)] = 0
    reclaim_instance_interval: Annotated[int, msgspec.Meta(ge=0)] = 0
    resize_confirm_window: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    consoles: tuple[Literal["vnc", "spice", "serial"], ...] = ("vnc", "serial")
    console_token_ttl: Annotated[int, msgspec.Meta(ge=1, le=86_400)] = 600
    console_allowed_origins: tuple[str, ...] = ()
