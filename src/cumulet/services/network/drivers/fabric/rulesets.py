# SPDX-License-Identifier: Apache-2.0
"""A table of nftables as parts, so that of a large one only what differs is loaded, in one transaction.

Loading hundreds of ports' chains for each port that comes would cost more with every port that is there. What stands
is told by a stamp: an empty chain, named after the hash of the table's text, in a small table of its own, so that a new
process finds out by itself that there is nothing to do. The kernel takes 10 ms and more to let go of anything: old
stamps stay until something else goes, and the last in number counts. Whether somebody has changed the table by hand the
stamp does not say; a thorough look compares the whole with what the same text comes to in an empty namespace.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from cumulet.services.network.drivers.fabric import nft

STAMPS = "cumulet_stamps"
MOST = 64  # old stamps that may stay
SOME = 256  # elements of one command


@dataclass(frozen=True)
class Elements:
    """A `set` or `map`; `head` is its type in nft's words, the items of a map are `key : value`."""

    kind: str
    head: str
    items: frozenset[str] = frozenset()

    def text(self, name: str) -> str:
        """The whole in nft's language."""
        items = f"elements = {{ {', '.join(sorted(self.items))} }};" if self.items else ""
        return f"{self.kind} {name} {{ {self.head} {items} }}"


@dataclass(frozen=True)
class Table:
    """What a table holds.

    `chains` are rules by chain. `fixed` is what stays as it is for as long as the table stands: base chains above all.
    """

    elements: dict[str, Elements]
    chains: dict[str, tuple[str, ...]]
    fixed: str

    def text(self) -> str:
        """What stands between the table's braces in nft's language; the same for equal tables."""
        chains = (f"chain {name} {{\n" + "\n".join(rules) + "\n}" for name, rules in self.chains.items())
        sets, maps = (
            [part.text(name) for name, part in self.elements.items() if part.kind == kind] for kind in ("set", "map")
        )
        return "\n".join([*sets, *chains, *maps, self.fixed])


class Keeper:
    """Brings one table of the namespace that it is called in to what is wanted, over and over."""

    def __init__(self, family: str, name: str) -> None:
        self._family = family
        self._name = name
        self._place = f"{family} {name}"
        self._loaded: tuple[str, Table] | None = None

    def settle(self, wanted: Table, *, thorough: bool = False) -> bool:
        """Make the table so; False where it was. Raises RulesRefused; the old table stands then.

        `thorough`: look whether all stands that the stamp says.
        """
        text = wanted.text()
        mark = hashlib.sha256(text.encode()).hexdigest()[:24]
        stamps = sorted(name for name in nft.chains("inet", STAMPS) if name.startswith(f"{self._family}-"))
        standing = stamps[-1] if stamps else ""
        if standing.endswith(f"-{mark}"):
            if not thorough or self._stands(wanted, standing):
                self._loaded = (standing, wanted)
                return False
            self._loaded = None
        stamp = f"{self._family}-{_number(standing) + 1:08x}-{mark}"
        if not self._load_difference(wanted, stamps, stamp):
            self._load_whole(wanted, stamps, stamp)
        self._loaded = (stamp, wanted)
        return True

    def _stands(self, wanted: Table, stamp: str) -> bool:
        return nft.stands(self._family, self._name, lambda: self._load_whole(wanted, [], stamp))

    def _load_whole(self, wanted: Table, stamps: list[str], stamp: str) -> None:
        """In one transaction; bit by bit, and closed meanwhile, where the kernel takes no message so long.

        The stamp is the last to come, so that what was left half done is begun anew.
        """
        bare = Table({name: Elements(part.kind, part.head) for name, part in wanted.elements.items()}, {}, wanted.fixed)
        whole, begin = (_replacement(self._place, table.text()) for table in (wanted, bare))
        try:
            nft.load("\n".join([whole, *_restamp(stamps, stamp)]))
        except nft.MessageTooLong:
            nft.load("\n".join([begin, *_restamp(stamps, "")]))
            load_all([*difference(self._place, bare, wanted), *_restamp([], stamp)])

    def _load_difference(self, wanted: Table, stamps: list[str], stamp: str) -> bool:
        """Load what differs from the table that stands; False where that is not known, or cannot be done so."""
        if self._loaded is None or stamps[-1:] != [self._loaded[0]] or self._loaded[1].fixed != wanted.fixed:
            return False
        commands = list(difference(self._place, self._loaded[1], wanted))
        waits = any(not command.startswith("add ") for command in commands)
        try:
            nft.load("\n".join([*commands, *_restamp(stamps if waits or len(stamps) > MOST else [], stamp)]))
        except nft.MessageTooLong:
            load_all([*_restamp(stamps, ""), *commands, *_restamp([], stamp)])
        except nft.RulesRefused:  # an interval that goes and comes again in one transaction may be in its own way
            return False
        return True


def _number(stamp: str) -> int:
    return int(stamp.split("-")[1], 16) if stamp else 0


def _replacement(place: str, text: str) -> str:
    return f"add table {place}\ndelete table {place}\ntable {place} {{\n{text}\n}}"


def _restamp(old: list[str], new: str) -> list[str]:
    return [
        f"add table inet {STAMPS}",
        *(f"delete chain inet {STAMPS} {name}" for name in old),
        *([f"add chain inet {STAMPS} {new}"] if new else []),
    ]


def load_all(commands: list[str]) -> None:
    """All the commands in their order, in as few transactions as the kernel takes."""
    try:
        nft.load("\n".join(commands))
    except nft.MessageTooLong:
        if len(commands) == 1:
            raise
        middle = len(commands) // 2
        load_all(commands[:middle])
        load_all(commands[middle:])


def difference(place: str, old: Table, new: Table) -> Iterator[str]:
    """The commands from one table to another; `place` is its family and name."""
    fresh = [name for name in new.chains if name not in old.chains]
    gone = [name for name in old.chains if name not in new.chains]
    changed = [name for name, rules in new.chains.items() if old.chains.get(name, rules) != rules]
    for name, part in new.elements.items():
        if name not in old.elements:
            yield f"add {part.kind} {place} {name} {{ {part.head} }}"
    yield from (f"add chain {place} {name}" for name in fresh)
    yield from (f"flush chain {place} {name}" for name in (*changed, *gone))
    yield from _elements("delete", place, new, old)
    yield from _elements("add", place, old, new)
    for name in (*fresh, *changed):
        yield from (f"add rule {place} {name} {rule}" for rule in new.chains[name])
    yield from (f"delete chain {place} {name}" for name in gone)
    yield from (
        f"delete {old.elements[name].kind} {place} {name}" for name in old.elements.keys() - new.elements.keys()
    )


def _elements(verb: str, place: str, without: Table, within: Table) -> Iterator[str]:
    """Add or delete the items that only one of the tables has; a set that goes takes its own along."""
    for name, part in within.elements.items():
        other = without.elements.get(name)
        if other is None and verb == "delete":
            continue
        items = sorted(part.items - other.items if other is not None else part.items)
        for at in range(0, len(items), SOME):
            yield f"{verb} element {place} {name} {{ {', '.join(items[at : at + SOME])} }}"
