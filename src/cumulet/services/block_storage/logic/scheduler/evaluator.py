# SPDX-License-Identifier: Apache-2.0
"""Functions of back ends in Cinder's grammar: `(volume.size < 10) and stats.free_capacity_gb > 50 ? 100 : 20`.

From the tightest: calls of `abs`, `max`, `min`; `^`; signs; `*` `/`; `+` `-`; `not` `!`; comparisons, which may be
chained; `a ? b : c`; `and` `&&`; `or` `||`. What is named `table.key` is looked up; texts that are numbers are numbers.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

LONGEST = 4096  # characters
DEEPEST = 60  # brackets and signs within each other
HIGHEST = 64  # exponent

Names = Mapping[str, Mapping[str, Any]]
Node = Callable[[Names], Any]

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?)|(?P<text>\"[^\"\n]*\"|'[^'\n]*')|(?P<word>[A-Za-z_.]+)"
    r"|(?P<sign>&&|\|\||<=|>=|==|!=|<>|[-+*/^!<>?:(),]))"
)
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "!=": operator.ne,
    "<>": operator.ne,
    "==": operator.eq,
}
_FUNCTIONS: dict[str, Callable[..., Any]] = {"abs": abs, "max": max, "min": min}
_NOT, _AND, _OR = ("not", "NOT", "!"), ("and", "AND", "&&"), ("or", "OR", "||")
_KEY = re.compile(r"[a-zA-Z_]+\.[a-zA-Z_]+")


class BadFunction(ValueError):
    """It is none, or names what there is not, or cannot be reckoned."""


def evaluate(function: str, names: Names) -> Any:
    """What the function comes to with these names. Raises BadFunction."""
    node = _parsed(function)
    try:
        return node(names)
    except BadFunction:
        raise
    except (TypeError, ValueError, ArithmeticError, KeyError) as error:
        raise BadFunction(f"{type(error).__name__}: {error}") from None


@lru_cache(maxsize=256)
def _parsed(function: str) -> Node:
    if len(function) > LONGEST:
        raise BadFunction(f"it is longer than {LONGEST} characters")
    return _Parser(_tokens(function)).whole()


def _tokens(function: str) -> list[str]:
    found, at, end = [], 0, len(function.rstrip())
    while at < end:
        match = _TOKEN.match(function, at)
        if match is None:
            raise BadFunction(f"nothing begins with {function[at : at + 10]!r}")
        found.append(match[match.lastgroup or 0])
        at = match.end()
    return found


class _Parser:
    """By recursive descent: one method for each strength of binding, from the loosest."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._list()
        if self._at < len(self._tokens):
            raise BadFunction(f"{self._tokens[self._at]!r} is too much")
        return node

    def _list(self) -> Node:
        first = self._or()
        if not self._takes(","):
            return first
        rest = self._list()

        def several(names: Names) -> list[Any]:
            more = rest(names)
            return [first(names), *(more if isinstance(more, list) else [more])]

        return several

    def _or(self) -> Node:
        left = self._and()
        while self._takes(*_OR):
            left = _either(left, self._and())
        return left

    def _and(self) -> Node:
        left = self._choice()
        while self._takes(*_AND):
            left = _both(left, self._choice())
        return left

    def _choice(self) -> Node:
        condition = self._comparison()
        if not self._takes("?"):
            return condition
        yes = self._deeper(self._choice)
        self._needs(":")
        return _chosen(condition, yes, self._deeper(self._choice))

    def _comparison(self) -> Node:
        first, others = self._not(), []
        while (sign := self._takes(*_COMPARISONS)) is not None:
            others.append((_COMPARISONS[sign], self._not()))
        return _compared(first, others) if others else first

    def _not(self) -> Node:
        if self._takes(*_NOT):
            inside = self._deeper(self._not)
            return lambda names: not inside(names)
        return self._sum()

    def _sum(self) -> Node:
        left = self._product()
        while (sign := self._takes("+", "-")) is not None:
            left = _applied(operator.add if sign == "+" else operator.sub, left, self._product())
        return left

    def _product(self) -> Node:
        left = self._signed()
        while (sign := self._takes("*", "/")) is not None:
            left = _applied(_times if sign == "*" else _divided, left, self._signed())
        return left

    def _signed(self) -> Node:
        sign = self._takes("+", "-")
        if sign is None:
            return self._power()
        inside = self._deeper(self._signed)
        return inside if sign == "+" else lambda names: -inside(names)

    def _power(self) -> Node:
        base = self._operand()
        return _applied(_power, base, self._deeper(self._signed)) if self._takes("^") else base

    def _operand(self) -> Node:
        if self._at >= len(self._tokens):
            raise BadFunction("it ends too early")
        word = self._tokens[self._at]
        self._at += 1
        if word == "(":
            inside = self._deeper(self._list)
            self._needs(")")
            return inside
        if word in _FUNCTIONS and self._at < len(self._tokens) and self._tokens[self._at] == "(":
            return _called(_FUNCTIONS[word], self._deeper(self._operand))
        if not (word[0].isalnum() or word[0] in "_.\"'"):
            raise BadFunction(f"{word!r} is no value")
        return lambda names: _value(word, names)

    def _takes(self, *wanted: str) -> str | None:
        if self._at < len(self._tokens) and self._tokens[self._at] in wanted:
            self._at += 1
            return self._tokens[self._at - 1]
        return None

    def _needs(self, wanted: str) -> None:
        if self._takes(wanted) is None:
            raise BadFunction(f"{wanted!r} is missing")

    def _deeper(self, parse: Callable[[], Node]) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise BadFunction("it is too deep")
        node = parse()
        self._depth -= 1
        return node


def _value(token: str, names: Names) -> Any:
    found: Any = token
    if _KEY.fullmatch(token):
        table, _, key = token.partition(".")
        found = names[table][key]
    for kind in (int, float):
        try:
            return kind(found)
        except ValueError:
            continue
    return found.replace('"', "").replace("'", "") if isinstance(found, str) else found


def _either(left: Node, right: Node) -> Node:
    return lambda names: left(names) or right(names)


def _both(left: Node, right: Node) -> Node:
    return lambda names: left(names) and right(names)


def _chosen(condition: Node, yes: Node, no: Node) -> Node:
    return lambda names: yes(names) if condition(names) else no(names)


def _compared(first: Node, others: list[tuple[Callable[[Any, Any], bool], Node]]) -> Node:
    def holds(names: Names) -> bool:
        left = first(names)
        for compare, node in others:
            right = node(names)
            if not compare(left, right):
                return False
            left = right
        return True

    return holds


def _applied(apply: Callable[[Any, Any], Any], left: Node, right: Node) -> Node:
    return lambda names: apply(left(names), right(names))


def _called(function: Callable[..., Any], inside: Node) -> Node:
    def call(names: Names) -> Any:
        given = inside(names)
        return function(*given) if isinstance(given, list) else function(given)

    return call


def _times(left: Any, right: Any) -> Any:
    """Of numbers alone: a text times a number would be as long as its writer likes."""
    return _number(left) * _number(right)


def _divided(left: Any, right: Any) -> float:
    return float(_number(left) / float(_number(right)))


def _power(base: Any, exponent: Any) -> Any:
    if abs(_number(exponent)) > HIGHEST or not math.isfinite(_number(base)) or abs(base) > 10**15:
        raise BadFunction("the power is too high")
    return base**exponent


def _number(value: Any) -> Any:
    if not isinstance(value, int | float):
        raise BadFunction(f"{value!r} is no number")
    return value
