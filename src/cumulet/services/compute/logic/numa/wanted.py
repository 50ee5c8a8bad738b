# SPDX-License-Identifier: Apache-2.0
"""The nodes that flavor and image ask for: who has the word, what they may not say, and the nodes that come of it."""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic.extra_specs import is_true
from cumulet.services.compute.logic.guest import exclusive
from cumulet.services.compute.logic.guest.agreement import Wishes
from cumulet.services.compute.logic.numa import cpu_sets
from cumulet.services.compute.types import MOST_CPUS

MOST_NODES = 128
EMULATOR_POLICIES = ("share", "isolate")
_RESOURCE = re.compile(r"resources(?:[1-9][0-9]*)?:(VCPU|PCPU)")
_HYPERTHREADING = re.compile(r"trait(?:[1-9][0-9]*)?:HW_CPU_HYPERTHREADING")
_OWN = ("dedicated", "mixed")


class WantedNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a guest: its processors, those of them that are to have one of the host's each, its memory in MiB."""

    shared: frozenset[int]
    own: frozenset[int]
    memory: int

    @property
    def cpus(self) -> list[int]:
        return sorted(self.shared | self.own)


class WantedNodes(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes that are asked for. `page_size` is in KiB, 0 for none, or below as in `exclusive.page_size`.

    `policy` is "" where nobody says anything, `threads` a thread policy or "".
    """

    nodes: tuple[WantedNode, ...]
    policy: str = ""
    threads: str = ""
    emulator: Literal["", "share", "isolate"] = ""
    page_size: int = 0
    realtime: frozenset[int] = frozenset()

    @property
    def is_pinned(self) -> bool:
        return self.policy in _OWN

    @property
    def own_count(self) -> int:
        """How many of a host's processors the server has for itself."""
        return sum(len(node.own) for node in self.nodes) + self.reserved_count

    @property
    def reserved_count(self) -> int:
        return 1 if self.is_pinned and self.emulator == "isolate" else 0

    @property
    def shared_count(self) -> int:
        return sum(len(node.shared) for node in self.nodes)


def of(wishes: Wishes) -> WantedNodes | None:
    """The nodes, or None where nothing asks for any. Invalid, in Nova's words, for what cannot be."""
    policy, threads = exclusive.cpu_policy(wishes), exclusive.thread_policy(wishes)
    realtime = _realtime(wishes)
    own = _dedicated(wishes)
    emulator = _emulator(wishes)
    policy = _policy(wishes, policy, emulator)
    threads = _threads(wishes, threads)
    own = _check_policies(policy, threads, emulator, own, realtime)
    count_of_nodes = _count(wishes)
    size = exclusive.page_size(wishes)
    exclusive.check_locked(wishes)
    if policy == "dedicated":
        own = _every(wishes)
    if not count_of_nodes and not size and policy not in _OWN:
        return None
    return WantedNodes(
        nodes=_nodes(wishes, count_of_nodes or 1, own),
        policy=policy,
        threads=threads,
        emulator=emulator,
        page_size=size,
        realtime=realtime,
    )


def resources(wanted: WantedNodes | None) -> dict[str, int]:
    """What replaces a flavor's processors (VCPU) in placement: amounts, 0 for none; empty where nothing does."""
    if wanted is None or not wanted.is_pinned:
        return {}
    return {"VCPU": wanted.shared_count, "PCPU": wanted.own_count}


def traits(wishes: Wishes) -> dict[str, bool]:
    """What of a host's threads is wanted (True) or not (False) by name."""
    found: dict[str, bool] = {}
    threads = exclusive.thread_policy(wishes)
    if threads in ("isolate", "require"):
        found["HW_CPU_HYPERTHREADING"] = threads == "require"
    if exclusive.pci_policy(wishes) == "socket":
        found["COMPUTE_SOCKET_PCI_NUMA_AFFINITY"] = True
    return found


def _realtime(wishes: Wishes) -> frozenset[int]:
    if not is_true(wishes.spec("cpu_realtime") or "no"):
        return frozenset()
    spec, word = wishes.pair("cpu_realtime_mask")
    every = _every(wishes)
    mask = word or spec
    found = cpu_sets.of_mask(mask, wishes.flavor.vcpus) if mask else every
    if not found or (found == every and not _emulator(wishes)):
        raise Invalid(
            "Use of realtime CPUs requires either one or more non-realtime CPU(s) or offloaded emulator threads.",
            code="RealtimeMaskNotFoundOrInvalid",
        )
    if not found <= every:
        raise Invalid(
            "Realtime policy vCPU(s) mask is configured with RT vCPUs that are not a subset of the vCPUs in the "
            "flavor. See hw:cpu_realtime_mask or hw_cpu_realtime_mask",
            code="RealtimeMaskNotFoundOrInvalid",
        )
    return frozenset(found)


def _dedicated(wishes: Wishes) -> frozenset[int]:
    mask = wishes.spec("cpu_dedicated_mask")
    if not mask:
        return frozenset()
    found, every = cpu_sets.of_mask(mask, wishes.flavor.vcpus), _every(wishes)
    if not found or found >= every:
        raise Invalid(
            "Mixed instance must have at least 1 pinned vCPU and 1 unpinned vCPU. See 'hw:cpu_dedicated_mask'.",
            code="InvalidMixedInstanceDedicatedMask",
        )
    if not found <= every:
        raise Invalid(
            'Mixed instance dedicated vCPU(s) mask is not a subset of vCPUs in the flavor. See "hw:cpu_dedicated_mask"',
            code="InvalidMixedInstanceDedicatedMask",
        )
    return frozenset(found)


def _every(wishes: Wishes) -> frozenset[int]:
    """All processors of the guest. Invalid where there are more than any host has."""
    if wishes.flavor.vcpus > MOST_CPUS:
        raise _refused(f"No host has {wishes.flavor.vcpus} processors for one server alone.")
    return frozenset(range(wishes.flavor.vcpus))


def _emulator(wishes: Wishes) -> Any:
    policy = wishes.spec("emulator_threads_policy") or ""
    if policy and policy not in EMULATOR_POLICIES:
        raise Invalid(
            f"CPU emulator threads option requested is invalid, given: '{policy}', available: '{EMULATOR_POLICIES}'.",
            code="InvalidEmulatorThreadsPolicy",
        )
    return policy


def _policy(wishes: Wishes, policy: str, emulator: str) -> str:
    """The policy, where amounts of placement's classes do not say it in its stead."""
    shared, own = _amount(wishes, "VCPU"), _amount(wishes, "PCPU")
    if policy and (shared or own):
        raise _refused(
            "It is not possible to use the 'resources:VCPU' or 'resources:PCPU' extra specs in combination with the "
            "'hw:cpu_policy' extra spec or 'hw_cpu_policy' image metadata property; use one or the other"
        )
    if shared and own:
        raise _refused(
            "It is not possible to specify both 'resources:VCPU' and 'resources:PCPU' extra specs; use one or the other"
        )
    if not own:
        return "shared" if shared else policy
    if emulator == "isolate" and wishes.flavor.vcpus + 1 != own:
        raise _refused(
            "You have requested 'hw:emulator_threads_policy=isolate' but have not requested sufficient PCPUs to handle "
            "this policy; you must allocate exactly flavor.vcpus + 1 PCPUs."
        )
    if emulator != "isolate" and wishes.flavor.vcpus != own:
        raise _refused(
            "There is a mismatch between the number of PCPUs requested via 'resourcesNN:PCPU' and the flavor); you "
            "must allocate exactly flavor.vcpus PCPUs"
        )
    return "dedicated"


def _amount(wishes: Wishes, name: str) -> int:
    found = 0
    for key, value in wishes.flavor.extra_specs.items():
        match = _RESOURCE.match(key)
        if match is not None and match[1] == name and value.isascii() and value.isdigit():
            found += int(value)
    return found


def _threads(wishes: Wishes, threads: str) -> str:
    """The thread policy, where a trait does not say it in its stead."""
    specs = wishes.flavor.extra_specs
    trait = next((value for key, value in specs.items() if _HYPERTHREADING.match(key)), None)
    if trait is None and wishes.image.get("trait:HW_CPU_HYPERTHREADING") == "required":
        trait = "required"
    if threads and trait:
        raise _refused(
            "It is not possible to use the 'trait:HW_CPU_HYPERTHREADING' extra spec in combination with the "
            "'hw:cpu_thread_policy' extra spec or 'hw_cpu_thread_policy' image metadata property; use one or the other"
        )
    return {"forbidden": "isolate", "required": "require"}.get(trait or "", threads)


def _check_policies(
    policy: str, threads: str, emulator: str, own: frozenset[int], realtime: frozenset[int]
) -> frozenset[int]:
    """The processors that are to have one each, where the policy is `mixed`."""
    if policy == "mixed":
        if bool(own) == bool(realtime):
            raise exclusive.one_mask()
        return own or realtime
    if policy != "dedicated":
        if threads:
            raise Invalid(
                "Cannot set cpu thread pinning policy in a non dedicated cpu pinning policy",
                code="CPUThreadPolicyConfigurationInvalid",
            )
        if emulator == "isolate":
            raise Invalid(
                "An isolated CPU emulator threads option requires a dedicated CPU policy option.",
                code="BadRequirementEmulatorThreadsPolicy",
            )
    if own:
        raise Invalid(
            "Cannot specify 'hw:cpu_dedicated_mask' without the 'mixed' policy.", code="RequiredMixedInstancePolicy"
        )
    if realtime and policy != "dedicated":
        raise Invalid(
            "Cannot set realtime policy in a non dedicated cpu pinning policy", code="RealtimeConfigurationInvalid"
        )
    return own


def _count(wishes: Wishes) -> int:
    spec, word = wishes.pair("numa_nodes")
    if spec and word:
        raise _forbidden("hw_numa_nodes")
    said = spec or word
    if said is None:
        return 0
    try:
        found = int(said)
    except ValueError:
        found = 0
    if found < 1:
        raise Invalid(
            f"The property 'numa_nodes' cannot be '{said}'. It must be a number greater than 0",
            code="InvalidNUMANodesNumber",
        )
    return found


def _nodes(wishes: Wishes, count: int, own: frozenset[int]) -> tuple[WantedNode, ...]:
    flavor = wishes.flavor
    cpus, memory = _lists(wishes)
    if cpus is None and memory is None:
        if flavor.vcpus % count or flavor.ram % count:
            raise Invalid(
                "Instance CPUs and/or memory cannot be evenly distributed across instance NUMA nodes. Explicit "
                "assignment of CPUs and memory to nodes is required",
                code="ImageNUMATopologyAsymmetric",
            )
        _every(wishes)
        each = flavor.vcpus // count
        parts = [frozenset(range(node * each, (node + 1) * each)) for node in range(count)]
        return tuple(WantedNode(shared=part - own, own=part & own, memory=flavor.ram // count) for part in parts)
    if cpus is None or memory is None or len(cpus) != count or len(memory) != count:
        raise Invalid(
            "CPU and memory allocation must be provided for all NUMA nodes", code="ImageNUMATopologyIncomplete"
        )
    _check_lists(_every(wishes), flavor.ram, cpus, memory)
    return tuple(
        WantedNode(shared=part - own, own=part & own, memory=amount) for part, amount in zip(cpus, memory, strict=True)
    )


def _lists(wishes: Wishes) -> tuple[list[frozenset[int]] | None, list[int] | None]:
    """What either says of the nodes one by one: processors and memory, None where nobody does."""
    specs = wishes.flavor.extra_specs
    cpus = [frozenset(cpu_sets.parse(each)) for each in _numbered(specs, "hw:numa_cpus.")]
    image_cpus = [frozenset(cpu_sets.parse(each)) for each in _numbered(wishes.image, "hw_numa_cpus.")]
    if cpus and image_cpus:
        raise _forbidden("hw_numa_cpus")
    try:
        memory = [int(each) for each in _numbered(specs, "hw:numa_mem.")]
    except ValueError as error:
        raise _refused(f"Invalid flavor extra spec. Error: {error}") from None
    image_memory = wishes.image.get("hw_numa_mem", [])
    if memory and image_memory:
        raise _forbidden("hw_numa_mem")
    return cpus or image_cpus or None, memory or image_memory or None


def _numbered(words: Any, prefix: str) -> list[str]:
    found: list[str] = []
    while len(found) < MOST_NODES and (key := f"{prefix}{len(found)}") in words:
        found.append(words[key])
    return found


def _check_lists(every: frozenset[int], ram: int, cpus: list[frozenset[int]], memory: list[int]) -> None:
    left, vcpus = set(every), len(every)
    for cpu in (cpu for part in cpus for cpu in sorted(part)):
        if cpu >= vcpus:
            raise Invalid(f"CPU number {cpu} is larger than max {vcpus - 1}", code="ImageNUMATopologyCPUOutOfRange")
        if cpu not in left:
            raise Invalid(f"CPU number {cpu} is assigned to two nodes", code="ImageNUMATopologyCPUDuplicates")
        left.remove(cpu)
    if left:
        raise Invalid(f"CPU number {left} is not assigned to any node", code="ImageNUMATopologyCPUsUnassigned")
    if sum(memory) != ram or min(memory) < 1:
        raise Invalid(
            f"{sum(memory)} MB of memory assigned, but expected {ram} MB", code="ImageNUMATopologyMemoryOutOfRange"
        )


def _forbidden(name: str) -> Invalid:
    return Invalid(
        f"Image property '{name}' is not permitted to override NUMA configuration set against the flavor",
        code="ImageNUMATopologyForbidden",
    )


def _refused(words: str) -> Invalid:
    return Invalid(words, code="InvalidRequest")
