# SPDX-License-Identifier: Apache-2.0
"""What a host can do in placement's words: what all hosts can, what its hypervisor says, its processor's features."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ALWAYS = (
    "COMPUTE_NODE", "COMPUTE_VOLUME_ATTACH", "COMPUTE_VOLUME_ATTACH_WITH_TAG", "COMPUTE_VOLUME_EXTEND",
    "COMPUTE_VOLUME_MULTI_ATTACH", "COMPUTE_NET_ATTACH_INTERFACE", "COMPUTE_NET_ATTACH_INTERFACE_WITH_TAG",
    "COMPUTE_DEVICE_TAGGING", "COMPUTE_RESCUE_BFV", "COMPUTE_IMAGE_TYPE_QCOW2", "COMPUTE_IMAGE_TYPE_RAW",
)  # fmt: skip
# Features whose traits have other names; all others are named as the processor's maker names them.
_NAMES = {
    "aes": ("AESNI",),
    "bmi1": ("BMI",),
    "fma": ("FMA3",),
    "pclmulqdq": ("CLMUL",),
    "pni": ("SSE3",),
    "shani": ("SHA",),
    "svm": ("SVM", "AMD_SVM"),
    "vaes": ("AVX512VAES",),
    "gfni": ("AVX512GFNI",),
    "vpclmulqdq": ("AVX512VPCLMULQDQ",),
    "vmx": ("VMX", "INTEL_VMX"),
}
_SAME = frozenset({
    "3dnow", "abm", "amxbf16", "amxint8", "amxtile", "avx", "avx2", "avx512bw", "avx512cd", "avx512dq", "avx512er",
    "avx512f", "avx512pf", "avx512vl", "avx512vnni", "avx512vbmi", "avx512ifma", "avx512vbmi2", "avx512bitalg",
    "avx512vpopcntdq", "bmi2", "f16c", "fma4", "mmx", "mpx", "sse", "sse2", "sse3", "sse41", "sse42", "sse4a", "ssse3",
    "tbm", "xop",
})  # fmt: skip


def of(capabilities: Mapping[str, Any]) -> list[str]:
    """The traits of a host that reported these capabilities (`drivers.base.Capabilities`)."""
    found = {*_ALWAYS, *capabilities.get("traits", ())}
    for feature in capabilities["features"]:
        # Kernel and QEMU write the same names in different ways: sse4_1, sse4.1.
        name = re.sub(r"[^a-z0-9]", "", feature)
        words = _NAMES.get(name, (name.upper(),) if name in _SAME else ())
        found |= {f"HW_CPU_X86_{word}" for word in words}
    nodes = capabilities.get("nodes", ())
    if any(node.get("siblings") for node in nodes):
        found.add("HW_CPU_HYPERTHREADING")
    if nodes and all(node.get("socket") is not None for node in nodes):
        found.add("COMPUTE_SOCKET_PCI_NUMA_AFFINITY")
    return sorted(found)
