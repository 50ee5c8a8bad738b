# SPDX-License-Identifier: Apache-2.0
"""Rows as people read them: a line while they come in, a Markdown table, the page `docs/performance.md`."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version

from bench.measure import Limits, Row
from bench.processes import Memory
from bench.scenarios import ALL

HEAD = ("scenario", "at a time", "req/s", "p50 ms", "p99 ms", "CPU ms", "errors", "others")


def line(row: Row) -> str:
    """One row, for the terminal."""
    if why := unmeasured(row):
        return f"{row.subject:10} {row.title:28} x{row.concurrency:<3} {why}"
    cpu = row.median("cpu")
    return (
        f"{row.subject:10} {row.title:28} x{row.concurrency:<3} {number(row.median('rate')):>7} req/s"
        f"  p50 {number(row.median('p50')):>7}  p99 {number(row.median('p99')):>7} ms"
        f"  CPU {number(cpu):>6} ms  errors {row.errors}  others {number(row.median('others'))}"
    )


def unmeasured(row: Row) -> str:
    """Why there are no numbers; empty where there are some."""
    if row.not_served:
        return f"not served ({row.not_served})"
    return f"failed ({row.failed})" if row.failed else ""


def table(rows: Sequence[Row]) -> Iterator[str]:
    """One cloud's rows as a Markdown table."""
    yield _cells(HEAD)
    yield "| --- |" + " ---: |" * (len(HEAD) - 1)
    for row in rows:
        if unmeasured(row):
            word = "not served" if row.not_served else "failed"
            yield _cells((row.title, str(row.concurrency), word, *[""] * (len(HEAD) - 3)))
        else:
            values = [number(row.median(name)) for name in ("rate", "p50", "p99", "cpu")]
            yield _cells((row.title, str(row.concurrency), *values, str(row.errors), number(row.median("others"))))


def comparison(ours: Sequence[Row], theirs: Sequence[Row]) -> Iterator[str]:
    """Two clouds side by side; a ratio above one means that ours needs less."""
    peer = theirs[0].subject
    yield _cells(("scenario", "at a time", "p50 ms", f"{peer}", "ratio", "CPU ms", f"{peer}", "ratio"))
    yield "| --- |" + " ---: |" * 7
    other = {(row.title, row.concurrency): row for row in theirs}
    for row in ours:
        beside = other[row.title, row.concurrency]
        cells = [row.title, str(row.concurrency)]
        for name in ("p50", "cpu"):
            mine, its = row.median(name), beside.median(name)
            cells += [_value(row, name), _value(beside, name), f"{its / mine:.1f}" if mine and its else ""]
        yield _cells(cells)


def page(rows: Sequence[Row], limits: Limits, subject: str, note: str, held: Mapping[str, Memory] = {}) -> str:
    """The whole page; `subject` is the label of our own cloud, `note` says how it was run, `held` is by label."""
    ours = [row for row in rows if row.subject == subject]
    theirs = [row for row in rows if row.subject != subject]
    return (
        "\n".join([*_opening(limits, note), *table(ours), *_beside(ours, theirs), *_memory(held), *_closing(rows)])
        + "\n"
    )


def number(value: float | None) -> str:
    """Three digits that matter; a dash for none."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _opening(limits: Limits, note: str) -> Iterator[str]:
    yield "# Performance"
    yield ""
    yield "Written by `make bench`; never by hand."
    yield ""
    yield (
        f"{time.strftime('%Y-%m-%d', time.gmtime())}, {os.cpu_count()} cores, "
        f"Linux {'.'.join(platform.release().split('.')[:2])}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, Cumulet {version('cumulet')}. {note}"
    )
    yield ""
    yield (
        f"A run lasts {limits.seconds:g} s or {limits.count} operations, whichever ends first; each number is "
        f"{_runs(limits.repeats)}. CPU is what all processes of the cloud used for one operation, looking at it until "
        "it is done included. *Others* is how many cores unrelated programs kept busy meanwhile: the driver and the "
        "cloud share the machine with them, so compare CPU rather than times."
    )
    yield ""


def _runs(repeats: int) -> str:
    return f"the median of {repeats} runs" if repeats > 1 else "of one run"


def _beside(ours: Sequence[Row], theirs: Sequence[Row]) -> Iterator[str]:
    if theirs:
        yield ""
        yield f"## Beside {theirs[0].subject}"
        yield ""
        yield "The same requests in the same run, by turns. A ratio above one: Cumulet needs less."
        yield ""
        yield from comparison(ours, theirs)


def _memory(held: Mapping[str, Memory]) -> Iterator[str]:
    if not held:
        return
    yield ""
    yield "## Memory after the run"
    yield ""
    yield "What a cloud's processes hold together; pages that they share are counted once."
    yield ""
    yield _cells(("cloud", "processes", "MiB"))
    yield "| --- | ---: | ---: |"
    for label, memory in held.items():
        yield _cells((label, str(memory.processes), f"{memory.mebibytes:.0f}"))


def _closing(rows: Sequence[Row]) -> Iterator[str]:
    yield ""
    yield "## What one operation is"
    yield ""
    for name in dict.fromkeys(row.scenario for row in rows):
        yield f"- **{name}**: {ALL[name].summary()}"
    why = dict.fromkeys(f"- {row.subject}, {row.scenario}: {unmeasured(row)}" for row in rows if unmeasured(row))
    if why:
        yield ""
        yield "## Without numbers"
        yield ""
        yield from why


def _value(row: Row, name: str) -> str:
    return "not served" if row.not_served else "failed" if row.failed else number(row.median(name))


def _cells(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"
