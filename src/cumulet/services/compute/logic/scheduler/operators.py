# SPDX-License-Identifier: Apache-2.0
"""The operators by which flavors' extra specs ask for values: `>= 4`, `<in> sse`, `<or> a <or> b`."""

from __future__ import annotations

import operator
from collections.abc import Callable

_NUMBERS: dict[str, Callable[[float, float], bool]] = {
    "=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
}
_TEXTS: dict[str, Callable[[str, str], bool]] = {
    "<in>": lambda value, wanted: wanted in value,
    "s==": operator.eq,
    "s!=": operator.ne,
    "s<": operator.lt,
    "s<=": operator.le,
    "s>": operator.gt,
    "s>=": operator.ge,
}


def fits(value: str, wanted: str) -> bool:
    """Whether a value is what is wanted of it; without an operator, the very same. Nonsense fits nothing."""
    sign, *words = wanted.split() or [""]
    if sign == "<or>":
        return value in words[::2]
    if sign == "<all-in>":
        return bool(words) and all(word in value for word in words)
    if sign in _TEXTS:
        return bool(words) and _TEXTS[sign](value, words[0])
    if sign in _NUMBERS:
        return bool(words) and _compare(_NUMBERS[sign], value, words[0])
    return value == wanted


def _compare(compare: Callable[[float, float], bool], value: str, wanted: str) -> bool:
    try:
        return compare(float(value), float(wanted))
    except ValueError:
        return False
