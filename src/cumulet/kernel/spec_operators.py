# SPDX-License-Identifier: Apache-2.0
"""The operators by which the extra specs of flavors and volume types ask for values: `>= 4`, `<in> sse`, `s== a`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def _as_numbers(compare: Callable[[float, float], bool]) -> Callable[[Any, str], bool]:
    return lambda value, wanted: compare(float(value), float(wanted))


OPERATORS: Mapping[str, Callable[[Any, str], bool]] = {
    "=": _as_numbers(operator.ge),
    "==": _as_numbers(operator.eq),
    "!=": _as_numbers(operator.ne),
    ">=": _as_numbers(operator.ge),
    "<=": _as_numbers(operator.le),
    "<in>": lambda value, wanted: wanted in value,
    "s==": operator.eq,
    "s!=": operator.ne,
    "s<": operator.lt,
    "s<=": operator.le,
    "s>": operator.gt,
    "s>=": operator.ge,
}


def fits(value: Any, sign: str, words: Sequence[str]) -> bool:
    """Whether a value is what one of the `OPERATORS` asks for with the words behind it; nonsense fits nothing."""
    try:
        return value is not None and bool(words) and bool(OPERATORS[sign](value, words[0]))
    except (TypeError, ValueError):
        return False
