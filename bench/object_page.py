# SPDX-License-Identifier: Apache-2.0
"""The page that `python -m bench.objects` writes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.object_cells import Cell, written
from bench.processes import Memory
from bench.report import number

TITLES = {
    "cumulet3": "Cumulet, 3 replicas",
    "swift3": "Swift, 3 replicas",
    "cumulet1": "Cumulet, 1",
    "swift1": "Swift, 1",
    "nginx": "nginx",
}
PAIRS = (("cumulet3", "swift3"), ("cumulet1", "swift1"))


@dataclass
class Told:
    """What a run found: bursts by verb, size, connections and server; streams and listings by title and server.

    `others` is how many cores unrelated programs kept busy meanwhile, `md5` how many CPU seconds MD5 takes of a GiB.
    """

    heading: str
    idle: dict[str, Memory]
    bursts: dict[tuple[str, int, int, str], Cell] = field(default_factory=dict)
    streams: dict[tuple[str, str], Cell] = field(default_factory=dict)
    listings: dict[tuple[str, str], Cell] = field(default_factory=dict)
    busy: dict[str, Memory] = field(default_factory=dict)
    others: float = 0.0
    md5: float = 0.0

    @property
    def kinds(self) -> list[str]:
        return list(self.idle)


def page(told: Told) -> Iterator[str]:
    yield "# The object store, beside Swift and nginx"
    yield ""
    yield ("Written by `python -m bench.objects --swift VENV --page docs/object-store-beside-swift.md`; never by hand.")
    yield ""
    yield (
        f"{told.heading} {os.cpu_count()} cores, one disk, loopback; the client has a share of the same cores. All "
        "servers are up all the time and are asked by turns. Cumulet is `cumulet objects` with 4 devices that are "
        "folders, Swift 2 proxy, 2 object, a container and an account server and memcached on 4 such; both with tokens "
        "of TempAuth, both flush what they acknowledge (Swift not the rows of its listings, Cumulet these too). nginx "
        "keeps one copy by WebDAV, without log-in, sums or a flush. A short burst at 8 of each size is not counted. "
        "Downloads come out of the page cache; each object is read several times, and Cumulet keeps small ones, 32 MiB "
        "at most, itself from the first time on. CPU is that of all processes of the server. "
        f"Unrelated work kept {number(told.others)} cores busy meanwhile: rates suffer by that, CPU hardly does."
    )
    yield ""
    yield "## Goals"
    yield ""
    yield from _goals(told)
    for verb in ("PUT", "GET") if told.bursts else ():
        yield ""
        yield f"## {verb}"
        yield ""
        yield "CPU in seconds for 1,000 requests."
        yield ""
        yield from _costs(told, verb)
        yield ""
        yield from _rates(told, verb)
    if told.streams:
        yield ""
        yield "## One long stream"
        yield ""
        yield from _streams(told)
    if told.listings:
        yield ""
        yield "## Listings of a container with 100,000 objects"
        yield ""
        yield "CPU in milliseconds, and milliseconds on the clock."
        yield ""
        yield from _listings(told)
    yield ""
    yield "## Memory"
    yield ""
    yield "A page that several processes share is counted once. Afterwards: behind all bursts and streams."
    yield ""
    yield "| MiB | " + " | ".join(TITLES[kind] for kind in told.kinds) + " |"
    yield "| --- |" + " ---: |" * len(told.kinds)
    for title, held in (("at the beginning", told.idle), ("afterwards", told.busy)):
        yield f"| {title} | " + " | ".join(number(held[kind].mebibytes) for kind in told.kinds) + " |"
    yield "| processes | " + " | ".join(str(told.busy[kind].processes) for kind in told.kinds) + " |"


def _goals(told: Told) -> Iterator[str]:
    """What was wished for beside what was found; MD5 and nginx say what no store can be cheaper than."""
    yield "| how many times cheaper than Swift, in CPU | wished for | 3 replicas | 1 replica |"
    yield "| --- | ---: | ---: | ---: |"
    for verb, size, goal in (
        ("PUT", 1 << 10, 10), ("PUT", 1 << 16, 10), ("GET", 1 << 10, 10), ("GET", 1 << 16, 10),
        ("PUT", 16 << 20, 5), ("GET", 16 << 20, 20),
    ):  # fmt: skip
        found = [_span(told, verb, size, *pair) for pair in PAIRS]
        if any(found):
            yield f"| {verb} {written(size)} | {goal} | " + " | ".join(found) + " |"
    yield ""
    words = [f"MD5, which a PUT has to answer with, takes {told.md5 * 1000 / 64:.1f} ms of 16 MiB here"]
    found = [cell.cpu for (verb, size, _, kind), cell in told.bursts.items() if (verb, size, kind) == _FLOOR]
    if found:
        words.append(f"nginx's `sendfile` {min(found):.1f} to {max(found):.1f} ms of a GET of them")
    yield f"{', '.join(words)}: that bounds what can be reached of the last two lines."


_FLOOR = ("GET", 16 << 20, "nginx")


def _span(told: Told, verb: str, size: int, ours: str, theirs: str) -> str:
    """The least and the greatest ratio over all numbers of connections."""
    at_once = [number for word, of, number, kind in told.bursts if (word, of, kind) == (verb, size, ours)]
    if not {ours, theirs} <= set(told.kinds) or not at_once:
        return ""
    found = [told.bursts[verb, size, n, theirs].cpu / told.bursts[verb, size, n, ours].cpu for n in at_once]
    return f"{min(found):.1f} to {max(found):.1f}"


def _pairs(told: Told) -> list[tuple[str, str]]:
    return [pair for pair in PAIRS if set(pair) <= set(told.kinds)]


def _costs(told: Told, verb: str) -> Iterator[str]:
    pairs = _pairs(told)
    heads = [word for ours, theirs in pairs for word in (TITLES[ours], TITLES[theirs], "ratio")]
    rest = [kind for kind in told.kinds if kind not in {each for pair in pairs for each in pair}]
    heads += [TITLES[kind] for kind in rest]
    yield "| size | at once | " + " | ".join(heads) + " |"
    yield "| --- | ---: |" + " ---: |" * len(heads)
    for size, at_once in dict.fromkeys((size, at_once) for _, size, at_once, _ in told.bursts):
        words = []
        for ours, theirs in pairs:
            own, other = (told.bursts[verb, size, at_once, kind].cpu for kind in (ours, theirs))
            words += [number(own), number(other), f"{other / own:.1f}"]
        words += [number(told.bursts[verb, size, at_once, kind].cpu) for kind in rest]
        yield f"| {written(size)} | {at_once} | " + " | ".join(words) + " |"


def _rates(told: Told, verb: str) -> Iterator[str]:
    yield "| requests/s; p50, p99 ms | at once | " + " | ".join(TITLES[kind] for kind in told.kinds) + " |"
    yield "| --- | ---: |" + " ---: |" * len(told.kinds)
    for size, at_once in dict.fromkeys((size, at_once) for _, size, at_once, _ in told.bursts):
        found = [told.bursts[verb, size, at_once, kind] for kind in told.kinds]
        words = [f"{number(each.rate)}; {number(each.median('p50'))}, {number(each.median('p99'))}" for each in found]
        yield f"| {written(size)} | {at_once} | " + " | ".join(words) + " |"


def _streams(told: Told) -> Iterator[str]:
    found = told.streams
    size = next(iter(found.values())).samples[0].size
    yield (
        f"{written(size)} over one connection, by turns: MB/s of the best and the median turn, and CPU seconds. *PUT + "
        "flush* is nginx's upload with a flush of its file by whoever asked for it, as both others do it."
    )
    yield ""
    yield "| | server | MB/s | median | of nginx | CPU s |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for verb in dict.fromkeys(verb for verb, _ in found):
        for kind in told.kinds:
            cell = found.get((verb, kind))
            if cell is None:
                continue
            beside = found.get((verb, "nginx"))
            of = f"{_best(cell) / _best(beside):.2f}" if beside else ""
            flushed = found.get((f"{verb} + flush", "nginx"))
            if flushed is not None and kind != "nginx":
                of += f" ({_best(cell) / _best(flushed):.2f} of PUT + flush)"
            speeds = f"{number(_best(cell))} | {number(size / 1e6 * cell.rate)}"
            yield f"| {verb} | {TITLES[kind]} | {speeds} | {of} | {cell.cpu / 1000:.2f} |"


def _best(cell: Cell) -> float:
    return max(each.size / 1e6 / each.seconds for each in cell.samples)


def _listings(told: Told) -> Iterator[str]:
    pairs = [pair for pair in _pairs(told) if {kind for _, kind in told.listings} >= set(pair)]
    heads = [word for ours, theirs in pairs for word in (TITLES[ours], TITLES[theirs], "ratio")]
    yield "| listed | " + " | ".join(heads) + " |"
    yield "| --- |" + " ---: |" * len(heads)
    for title in dict.fromkeys(title for title, _ in told.listings):
        words = []
        for ours, theirs in pairs:
            own, other = told.listings[title, ours], told.listings[title, theirs]
            words += [f"{number(each.cpu)} ({number(each.median('p50'))})" for each in (own, other)]
            words.append(f"{other.cpu / max(own.cpu, 0.01):.1f}")
        yield f"| {title} | " + " | ".join(words) + " |"
