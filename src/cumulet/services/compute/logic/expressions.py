# SPDX-License-Identifier: Apache-2.0
"""Regular expressions whose search takes time in proportion to the text, whatever they say.

Literals, `.`, classes, groups, `|`, `*`, `+`, `?`, `{m,n}`, `^`, `$`, and `\\d`, `\\w`, `\\s` with their opposites.
What has to remember (references, assertions) is not among them. An expression becomes a small program, which is run on
all of its ways at once: a way is a place in the program, so there are never more than it has instructions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

MOST_INSTRUCTIONS = 2000
_MOST_REPEATS = 255
_CLASSES: dict[str, Callable[[str], bool]] = {
    "d": str.isdigit,
    "w": lambda sign: sign.isalnum() or sign == "_",
    "s": str.isspace,
}
_NOTHING, _BEGIN, _END, _SIGN, _SPLIT, _FOUND = "nothing", "begin", "end", "sign", "split", "found"


class Unsayable(ValueError):
    """The expression uses what cannot be searched for in such a time, or is too large."""


class _Step(NamedTuple):
    """An instruction; `to` are the instructions after it, relative to its own place."""

    kind: str
    to: tuple[int, ...] = (1,)
    takes: Callable[[str], bool] = bool


_Program = list[_Step]


def search(pattern: str) -> Callable[[str], bool]:
    """Whether a text has a part that fits; Unsayable."""
    program = [*_Parser(pattern).whole(), _Step(_FOUND)]
    if len(program) > MOST_INSTRUCTIONS:
        raise Unsayable(pattern)

    def found(text: str) -> bool:
        ways: set[int] = set()
        for at in range(len(text) + 1):
            ways = _closure(program, ways | {0}, at == 0, at == len(text))
            if any(program[way].kind == _FOUND for way in ways):
                return True
            if at < len(text):
                ways = {way + 1 for way in ways if program[way].kind == _SIGN and program[way].takes(text[at])}
        return False

    return found


def _closure(program: _Program, ways: set[int], at_begin: bool, at_end: bool) -> set[int]:
    """All places that can be come to from these without a sign."""
    seen, open_ways = set(ways), list(ways)
    while open_ways:
        place = open_ways.pop()
        step = program[place]
        passes = {_NOTHING: True, _SPLIT: True, _BEGIN: at_begin, _END: at_end}.get(step.kind, False)
        for other in step.to if passes else ():
            if place + other not in seen:
                seen.add(place + other)
                open_ways.append(place + other)
    return seen


class _Parser:
    """Reads an expression from left to right into a program."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._size = text, 0, 0

    def whole(self) -> _Program:
        program = self._either()
        if self._at < len(self._text):
            raise Unsayable(self._text)
        return program

    def _next(self) -> str:
        return self._text[self._at] if self._at < len(self._text) else ""

    def _take(self) -> str:
        sign = self._next()
        if not sign:
            raise Unsayable(self._text)
        self._at += 1
        return sign

    def _either(self) -> _Program:
        program = self._sequence()
        while self._next() == "|":
            self._at += 1
            other = self._sequence()
            program = [
                _Step(_SPLIT, (1, len(program) + 2)), *program, _Step(_NOTHING, (len(other) + 1,)), *other
            ]  # fmt: skip
        return program

    def _sequence(self) -> _Program:
        program: _Program = []
        while self._next() not in ("", "|", ")"):
            program += self._repeated(self._single())
            if len(program) > MOST_INSTRUCTIONS:
                raise Unsayable(self._text)
        return program

    def _repeated(self, single: _Program) -> _Program:
        program, sign = single, self._next()
        while sign and sign in "*+?{":
            self._at += 1
            least, most = self._bounds() if sign == "{" else {"*": (0, None), "+": (1, None), "?": (0, 1)}[sign]
            if self._next() in ("?", "+") and self._next():
                self._at += 1  # how eager it is does not change whether it is found
            program, sign = self._times(program, least, most), self._next()
        return program

    def _times(self, single: _Program, least: int, most: int | None) -> _Program:
        if (max(least, most or 0) + 1) * (len(single) + 1) > MOST_INSTRUCTIONS:
            raise Unsayable(self._text)
        program = single * least
        if most is None:
            back = -len(single) - 1
            return [*program, _Step(_SPLIT, (1, len(single) + 2)), *single, _Step(_NOTHING, (back,))]
        for _ in range(most - least):
            program = [*program, _Step(_SPLIT, (1, len(single) + 1)), *single]
        return program

    def _bounds(self) -> tuple[int, int | None]:
        words, closed, rest = self._text[self._at :].partition("}")
        least, comma, most = words.partition(",")
        numbers = [word for word in (least, most) if word]
        if not closed or not all(word.isascii() and word.isdigit() and int(word) <= _MOST_REPEATS for word in numbers):
            raise Unsayable(self._text)
        self._at = len(self._text) - len(rest)
        low = int(least or 0)
        high = low if not comma else int(most) if most else None
        if high is not None and high < low:
            raise Unsayable(self._text)
        return low, high

    def _single(self) -> _Program:
        match self._take():
            case ".":
                return [_Step(_SIGN, takes=lambda _sign: True)]
            case "^":
                return [_Step(_BEGIN)]
            case "$":
                return [_Step(_END)]
            case "[":
                return [_Step(_SIGN, takes=self._class())]
            case "(":
                return self._group()
            case "\\":
                return [_Step(_SIGN, takes=self._escaped())]
            case "*" | "+" | "?" | "{":
                raise Unsayable(self._text)
            case sign:
                return [_Step(_SIGN, takes=sign.__eq__)]

    def _group(self) -> _Program:
        if self._next() == "?":
            if not self._text.startswith("?:", self._at):
                raise Unsayable(self._text)
            self._at += 2
        program = self._either()
        if self._take() != ")":
            raise Unsayable(self._text)
        return program

    def _escaped(self) -> Callable[[str], bool]:
        sign = self._take()
        if sign.lower() in _CLASSES:
            known = _CLASSES[sign.lower()]
            return known if sign.islower() else lambda other: not known(other)
        if sign.isalnum():
            raise Unsayable(self._text)
        return sign.__eq__

    def _class(self) -> Callable[[str], bool]:
        negated = self._next() == "^"
        if negated:
            self._at += 1
        tests: list[Callable[[str], bool]] = []
        while self._next() != "]" or not tests:
            tests.append(self._member())
        self._at += 1
        return lambda sign: any(test(sign) for test in tests) != negated

    def _member(self) -> Callable[[str], bool]:
        sign = self._take()
        if sign == "\\":
            return self._escaped()
        if self._next() == "-" and not self._text.startswith("-]", self._at):
            self._at += 1
            last = self._take()
            if last == "\\" or last < sign:
                raise Unsayable(self._text)
            return lambda other: sign <= other <= last
        return sign.__eq__
