# SPDX-License-Identifier: Apache-2.0
"""Parts of a host that a server asks to have for itself: processors, and pages of memory of some size."""

from __future__ import annotations

import re

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic.guest.agreement import Wishes, number

POLICIES = ("dedicated", "shared", "mixed")
THREAD_POLICIES = ("prefer", "isolate", "require")
SMALL_PAGE = 4  # KiB
_SIZES = {"any": -1, "small": -2, "large": -3}
_UNITS = {"": 0, "k": 1, "K": 1, "M": 2, "G": 3, "T": 4}
_SIZE = re.compile(r"(\d+)([kKMGT]?)(i?)(b|bit|B)")


def check(wishes: Wishes) -> None:
    """Raise Invalid for policies and sizes that there are not, or that an image may not ask for."""
    policy = cpu_policy(wishes)
    _check_threads(wishes)
    masks = [wishes.spec("cpu_dedicated_mask"), wishes.spec("cpu_realtime_mask")]
    if policy == "mixed" and (all(masks) or not any(masks)):
        raise Invalid(
            "Dedicated CPU set can be specified from either 'hw:cpu_dedicated_mask' or 'hw:cpu_realtime_mask' when "
            "using 'mixed' CPU policy. 'hw:cpu_dedicated_mask' and 'hw:cpu_realtime_mask' can not be specified at the "
            "same time, or be specified with none of them.",
            code="RequiredMixedOrRealtimeCPUMask",
        )
    page_size(wishes)


def is_asked_for(wishes: Wishes) -> bool:
    """Whether the server needs processors of its own, several nodes of memory, or pages that are not small."""
    nodes = max(number(each) for each in wishes.pair("numa_nodes"))
    size = page_size(wishes)
    return cpu_policy(wishes) in ("dedicated", "mixed") or nodes > 1 or size not in (0, -1, -2, SMALL_PAGE)


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
    """In KiB; 0 where nobody says anything, -1 any, -2 small, -3 large."""
    spec, word = wishes.pair("mem_page_size")
    if not spec:
        if word:
            raise _forbidden(word, "<empty>")
        return 0
    size = _read_size(spec)
    if not word:
        return size
    if size in (_SIZES["any"], _SIZES["large"]):
        return _read_size(word)
    raise _forbidden(word, spec)


def _check_threads(wishes: Wishes) -> None:
    spec, word = wishes.pair("cpu_thread_policy")
    _check_known("CPU thread policy", spec, word, THREAD_POLICIES, "InvalidCPUThreadAllocationPolicy")
    if spec not in (None, "prefer") and word and word != spec:
        raise Invalid(
            "Image property 'hw_cpu_thread_policy' is not permitted to override CPU thread pinning policy set against "
            "the flavor",
            code="ImageCPUThreadPolicyForbidden",
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
