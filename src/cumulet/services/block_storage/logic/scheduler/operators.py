# SPDX-License-Identifier: Apache-2.0
"""How volume types' extra specs ask for capabilities: by the common operators, `<is> True` and `<or> a <or> b`."""

from __future__ import annotations

from typing import Any

from cumulet.kernel import spec_operators

_TRUE = frozenset({"1", "t", "true", "on", "y", "yes"})


def fits(value: Any, wanted: str) -> bool:
    """Whether a capability is what is wanted of it; without an operator, the very same. Nonsense fits nothing."""
    sign, *words = wanted.split() or [""]
    if sign == "<or>":
        return value in words[::2]
    if sign == "<is>":
        return value is not None and bool(words) and _truth(value) is _truth(words[0])
    if sign in spec_operators.OPERATORS:
        return spec_operators.fits(value, sign, words)
    return bool(value == wanted)


def _truth(value: Any) -> bool:
    return value if isinstance(value, bool) else str(value).strip().lower() in _TRUE
