# SPDX-License-Identifier: Apache-2.0
"""Parts of a host that a server asks to have for itself: processors, and pages of memory of some size."""

from __future__ import annotations

import re

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic.extra_specs import is_true
from cumulet.services.compute.logic.guest.agreement import Wishes

POLICIES = ("dedicated", "shared", "mixed")
THREAD_POLICIES = ("prefer", "isolate", "require")
PCI_POLICIES = ("required", "legacy", "preferred", "socket")
SMALL, LARGE, ANY = -1, -2, -3  # sizes of pages that hosts may choose
_SIZES = {"any": ANY, "small": SMALL, "large": LARGE}
_UNITS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}
_SIZE = re.compile(r"(\d+)([kKMGT]?)(i?)(b|bit|B)")


def cpu_policy(wishes: Wishes) -> str:
    """dedicated, shared, mixed, or "" where nobody says anything."""
    spec, word = wishes.pair("cpu_policy")
    _check_known("CPU policy", spec, word, POLICIES, "InvalidCPUAllocationPolicy")
    stronger = {"mixed": ("dedicated",), "shared": ("mixed", "dedicated")}.get(spec or "", ())
    if word in stronger:
        raise Invalid(
            "Image property 'hw_cpu_policy' is not permitted to override CPU pinning policy set against the flavor",
            code="ImageCPUPinningForbidden",
        )
    return spec or word or ""


def page_size(wishes: Wishes) -> int:
    """In KiB; 0 where nobody says anything; SMALL, LARGE or ANY."""
    spec, word = wishes.pair("mem_page_size")
    if not spec:
        if word:
            raise _forbidden(word, "<empty>")
        return 0
    size = _read_size(spec)
    if not word:
        return size
    if size in (ANY, LARGE):
        return _read_size(word)
    raise _forbidden(word, spec)


def thread_policy(wishes: Wishes) -> str:
    """prefer, isolate, require, or "" where nobody says anything."""
    spec, word = wishes.pair("cpu_thread_policy")
    _check_known("CPU thread policy", spec, word, THREAD_POLICIES, "InvalidCPUThreadAllocationPolicy")
    if spec not in (None, "prefer") and word and word != spec:
        raise Invalid(
            "Image property 'hw_cpu_thread_policy' is not permitted to override CPU thread pinning policy set against "
            "the flavor",
            code="ImageCPUThreadPolicyForbidden",
        )
    return spec or word or ""


def pci_policy(wishes: Wishes) -> str:
    """How near devices are to be to the guest's nodes; "" where nobody says anything."""
    spec, word = wishes.pair("pci_numa_affinity_policy")
    if spec and word and spec != word:
        raise Invalid(
            "Image property 'hw_pci_numa_affinity_policy' is not permitted to override the "
            "'hw:pci_numa_affinity_policy' flavor extra spec.",
            code="ImagePCINUMAPolicyForbidden",
        )
    policy = spec or word or ""
    if policy and policy not in PCI_POLICIES:
        raise Invalid(f"Invalid PCI NUMA affinity configured: {policy}", code="InvalidPCINUMAAffinity")
    return policy


def check_locked(wishes: Wishes) -> bool:
    """Whether memory is locked. Invalid where flavor and image differ, or nobody asks for pages of a size."""
    spec, word = wishes.pair("locked_memory")
    wanted = None if spec is None else is_true(spec)
    if wanted is not None and word is not None and wanted != word:
        raise Invalid(
            f"locked_memory value in image ({word}) and flavor ({wanted}) conflict. A consistent value is expected if "
            "both specified.",
            code="FlavorImageLockedMemoryConflict",
        )
    locked = bool(word if wanted is None else wanted)
    if locked and not any(wishes.pair("mem_page_size")):
        raise Invalid(
            "locked_memory value in image or flavor is forbidden when mem_page_size is not set.",
            code="LockMemoryForbidden",
        )
    return locked


def one_mask() -> Invalid:
    """Refuse a mixed policy that does not say which processors are dedicated, or says it twice."""
    return Invalid(
        "Dedicated CPU set can be specified from either 'hw:cpu_dedicated_mask' or 'hw:cpu_realtime_mask' when "
        "using 'mixed' CPU policy. 'hw:cpu_dedicated_mask' and 'hw:cpu_realtime_mask' can not be specified at the "
        "same time, or be specified with none of them.",
        code="RequiredMixedOrRealtimeCPUMask",
    )


def _check_known(what: str, spec: str | None, word: str | None, known: tuple[str, ...], code: str) -> None:
    for source, value in (("flavor extra specs", spec), ("image properties", word)):
        if value and value not in known:
            raise Invalid(
                f"{what} requested from '{source}' is invalid, given: '{value}', available: '{known}'.", code=code
            )


def _read_size(text: str) -> int:
    if text in _SIZES:
        return _SIZES[text]
    if text.isascii() and text.isdigit():
        return int(text)
    found = _SIZE.fullmatch(text)
    if found is None:
        raise Invalid(f"Invalid memory page size '{text}'", code="MemoryPageSizeInvalid")
    count, unit, _, kind = found.groups()
    octets = (int(count) << 10 * _UNITS[unit]) // (8 if kind in ("b", "bit") else 1)
    return octets // 1024


def _forbidden(size: str, against: str) -> Invalid:
    return Invalid(f"Page size {size} forbidden against '{against}'", code="MemoryPageSizeForbidden")
