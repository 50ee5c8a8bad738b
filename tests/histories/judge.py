# SPDX-License-Identifier: Apache-2.0
"""Judges what clients were told by an object store: is it what the store promises?

A history is a list of `Op`: what each client asked for, when it began and when it was answered on one clock, and what
the answer said. Keys are judged one by one, for the store promises nothing across them.

**What is promised.** Each object is three registers: its body (set by PUT, emptied by DELETE), its metadata (set by PUT
and POST, emptied by DELETE), and its row in the listing of its container, which shows both. A container is a register
too (there or not, set by PUT, POST and DELETE), as is its metadata. Time stamps order the writes of a register, not
their answers: each write has a stamp, which a client knows exactly or within bounds, and the larger one wins, whenever
it comes. A write is

- `DONE`, acknowledged: from its answer on it counts everywhere, for good;
- `MAYBE`, not answered, or answered by "too few devices" (503) or "something newer is there" (202, 409): it counts or
  not, from its beginning on until for ever;
- `NONE`, refused (404, 409 and the like): it never counts.

A *strict* read is that of a regular register: it tells what some write set that had begun before the read ended and may
count, and no write with a larger stamp was acknowledged before the read began. So reads that overlap a write may tell
either side of it, in any order, as may reads after a `MAYBE`: what is promised is no linearisable register. Body and
metadata of one answer fit each other: metadata that are older than the body are its own.

A read that is not strict (`strict=False`: replicas were apart, and the reader could not know or find out) may tell what
any earlier write set, or nothing, but never bytes or words that nobody wrote, nor what a later write or a `NONE` sets.
Reads at the end, when every device is well and has been compared with the others, are strict, and exact: see `settled`.

LIMITATIONS: expiry is not modelled; values of bodies and words of metadata have to be unique among all writes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

DONE, MAYBE, NONE = "done", "maybe", "none"


NO_WORD = ""


class Seen(NamedTuple):
    """What a read tells of an object: its `value` (None for 404) and the `word` in its metadata (None: not told,
    NO_WORD: there is none)."""

    value: str | None
    word: str | None = None


ABSENT = Seen(None)


@dataclass
class Op:
    """One request. `verb`: put, delete, post, get, list (of a container), make, drop, describe, look (at a container)
    or containers (the listing of an account).

    `key`: the object or the container; of lists nothing. `value` and `word`: what a write sets. `stamp`: its bounds.
    `seen`: of a get or a look Seen; of lists pairs of name and Seen in the order told.
    """

    who: str
    verb: str
    key: str = ""
    value: str | None = None
    word: str | None = None
    begun: float = 0.0
    ended: float = math.inf
    fate: str = MAYBE
    stamp: tuple[float, float] = (0, math.inf)
    seen: Any = None
    strict: bool = True

    def __str__(self) -> str:
        text = f"{self.who} {self.verb} {self.key}".rstrip()
        if self.verb in _WRITES:
            text += f" {self.value or ''}/{self.word or ''} stamp {self.stamp[0]:.0f}..{self.stamp[1]:.0f}: {self.fate}"
        else:
            text += f" -> {self.seen}{'' if self.strict else ' (not strict)'}"
        return f"[{self.begun:.4f}-{self.ended:.4f}] {text}"


_WRITES = ("put", "delete", "post", "make", "drop", "describe")


class Write(NamedTuple):
    """Of one register."""

    op: Op
    value: str | None

    def before(self, other: Write) -> bool:
        """Whether `other` wins over it for sure."""
        return self.op.stamp[1] < other.op.stamp[0]


@dataclass
class Register:
    """`what` it is, for words; empty (None) at first."""

    what: str
    writes: list[Write] = field(default_factory=list)

    def why_not(self, value: str | None, read: Op) -> str:
        """Why `read` may not tell `value`; "" where it may."""
        setters = [
            each for each in self.writes
            if each.value == value and each.op.fate != NONE and each.op.begun <= read.ended
        ]  # fmt: skip
        if value is None and not read.strict:
            return ""
        if value is not None and not setters:
            return f"{self.what}: nobody wrote {value} by then"
        if not read.strict:
            return ""
        known = [each for each in self.writes if each.op.fate == DONE and each.op.ended < read.begun]
        if value is None and not known:
            return ""
        beaten = None
        for setter in setters:
            beaten = next((each for each in known if setter.before(each)), None)
            if beaten is None:
                return ""
        if beaten is None:
            beaten = known[-1]
        return f"{self.what}: {_told(value)} was told behind [{beaten.op}]"


def _told(value: str | None) -> str:
    return "nothing" if value is None else value


@dataclass
class Registers:
    """All of one key."""

    body: Register
    words: Register
    row: Register  # of a list that does not tell words

    def why_not(self, seen: Seen, read: Op) -> str:
        wrong = self.body.why_not(seen.value, read)
        if wrong or seen.value is None or seen.word is None:
            return wrong
        return self.words.why_not(seen.word or None, read)

    def apart(self, seen: Seen) -> str:
        """An object's metadata that are older than the body are its own."""
        if None in seen:
            return ""
        bodies = [each for each in self.body.writes if each.value == seen.value]
        words = [each for each in self.words.writes if each.value == seen.word]
        if not words or any(word.op is body.op or not word.before(body) for word in words for body in bodies):
            return ""
        return f"{self.body.what}: {seen.word} is older than the body {seen.value}"


def registers(history: Iterable[Op]) -> tuple[dict[str, Registers], dict[str, Registers]]:
    """Of objects and of containers, by name."""
    objects: dict[str, Registers] = {}
    boxes: dict[str, Registers] = {}
    for op in history:
        if op.verb in ("put", "delete", "post"):
            mine = objects.setdefault(op.key, _of(op.key))
            if op.verb != "post":
                mine.body.writes.append(Write(op, op.value))
            mine.words.writes.append(Write(op, op.word))
        elif op.verb in ("make", "drop", "describe"):
            mine = boxes.setdefault(op.key, _of(op.key))
            value = None if op.verb == "drop" else "there"
            mine.body.writes.append(Write(op, value))
            # Metadata of a container bring back one that is deleted at that moment; its account learns of it later.
            mine.row.writes.append(Write(replace(op, fate=MAYBE) if op.verb == "describe" else op, value))
            if op.verb != "make":
                mine.words.writes.append(Write(op, op.word))
    return objects, boxes


def _of(name: str) -> Registers:
    return Registers(Register(name), Register(f"words of {name}"), Register(f"row of {name}"))


def judge(history: Sequence[Op]) -> list[str]:
    """What is wrong with it; nothing where all is as promised."""
    objects, boxes = registers(history)
    wrong: list[str] = []
    for op in history:
        if op.verb == "get":
            mine = objects.get(op.key, _of(op.key))
            _add(wrong, mine.why_not(op.seen, op) or mine.apart(op.seen), op)
        elif op.verb == "look":
            _add(wrong, boxes.get(op.key, _of(op.key)).why_not(op.seen, op), op)
        elif op.verb in ("list", "containers"):
            for text in _listed(objects if op.verb == "list" else boxes, op):
                _add(wrong, text, op)
    return wrong


def _listed(known: dict[str, Registers], op: Op) -> Iterable[str]:
    names = [name for name, _ in op.seen]
    if names != sorted(set(names)):
        yield f"names are not told once and in order: {names}"
    told = dict(op.seen)
    for name in sorted(told.keys() | known.keys()):
        mine, seen = known.get(name, _of(name)), told.get(name, ABSENT)
        yield mine.why_not(seen, op) if op.verb == "list" else mine.row.why_not(seen.value, op)


def _add(wrong: list[str], text: str, op: Op) -> None:
    if text:
        wrong.append(f"{text}; {op}")


def settled(found: dict[str, Seen], listed: Sequence[tuple[str, Seen]]) -> list[str]:
    """At the end a listing has exactly what can be read, once each."""
    there = sorted((name, seen) for name, seen in found.items() if seen.value is not None)
    if list(listed) == there:
        return []
    return [f"what is listed, {list(listed)}, is not what is read, {there}"]
