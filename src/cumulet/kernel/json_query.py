# SPDX-License-Identifier: Apache-2.0
"""Conditions on places as JSON lists, such as `[">=", "$free_ram_mb", 1024]`: the scheduler hint `query`."""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any

DEEPEST = 32  # conditions within each other


class BadQuery(ValueError):
    """The hint is no condition."""


def holds(query: str, facts: Mapping[str, Any]) -> bool:
    """Whether the facts meet the condition. Raises BadQuery."""
    try:
        tree = json.loads(query)
    except (ValueError, RecursionError) as error:
        raise BadQuery(str(error)) from None
    if not isinstance(tree, list):
        raise BadQuery("a condition is a list")
    found = _of(tree, facts, DEEPEST)
    return any(found) if isinstance(found, list) else bool(found)


def _of(tree: list[Any], facts: Mapping[str, Any], depth: int) -> Any:
    if not tree:
        return True
    sign, *parts = tree
    command = _COMMANDS.get(sign) if isinstance(sign, str) else None
    if command is None or depth == 0:
        raise BadQuery(f"there is no command {sign!r}" if command is None else "it is too deep")
    values = [_value(part, facts, depth - 1) for part in parts]
    try:
        return command([value for value in values if value is not None])
    except TypeError as error:
        raise BadQuery(str(error)) from None


def _value(part: Any, facts: Mapping[str, Any], depth: int) -> Any:
    if isinstance(part, list):
        return _of(part, facts, depth)
    if not isinstance(part, str):
        return part
    return _looked_up(part, facts) if part.startswith("$") else part or None


def _looked_up(name: str, facts: Mapping[str, Any]) -> Any:
    found: Any = facts
    for part in name[1:].split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def _each(compare: Callable[[Any, Any], bool]) -> Callable[[Sequence[Any]], bool]:
    """Whether the first compares so with all others, of which there is one at least."""
    return lambda values: len(values) > 1 and all(compare(values[0], other) for other in values[1:])


_COMMANDS: dict[str, Callable[[Sequence[Any]], Any]] = {
    "=": _each(operator.eq),
    "<": _each(operator.lt),
    ">": _each(operator.gt),
    "<=": _each(operator.le),
    ">=": _each(operator.ge),
    "in": lambda values: len(values) > 1 and values[0] in values[1:],
    "not": lambda values: [not value for value in values],
    "or": any,
    "and": all,
}
