# SPDX-License-Identifier: Apache-2.0
"""Runs scenarios against one or more clouds, in turns, and keeps the numbers."""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import aiohttp

from bench import processes
from bench.client import Client, NotServed, Refused
from bench.scenarios import ALL, Scenario, Watch
from bench.stock import Stock

TOO_MANY_ERRORS = 20  # a run that has seen so many is over
UNSERVED = (405, 501, 503)  # statuses that mean that a thing is not there at all
FAILURES = (Refused, aiohttp.ClientError, TimeoutError)


@dataclass(frozen=True)
class Limits:
    """How much is done: `count` operations or `seconds` a run, whichever ends first; `repeats` runs a concurrency."""

    concurrency: tuple[int, ...] = (1, 8)
    repeats: int = 3
    seconds: float = 3.0
    count: int = 1000
    timeout: float = 60.0


@dataclass
class Subject:
    """A cloud that is measured: its name in the report, and its processes where they are known.

    One that is `passing` goes when the run ends, with all that was made in it. `fill` is told of in `Stock`.
    """

    label: str
    client: Client
    top: dict[int, str] = field(default_factory=dict)
    passing: bool = False
    fill: Callable[[int, int], None] | None = None

    def __post_init__(self) -> None:
        self.stock = Stock(self.client, self.fill)


@dataclass(frozen=True)
class Sample:
    """One run of one row. Times are in milliseconds, `cpu` per operation and by process; `others` is in cores."""

    operations: int
    errors: int
    rate: float
    p50: float
    p99: float
    cpu: float | None
    cpu_by: dict[str, float]
    others: float


@dataclass
class Row:
    """All runs of a scenario (one of its moments) with one cloud at one concurrency; or why there are none."""

    subject: str
    scenario: str
    title: str
    concurrency: int
    samples: list[Sample] = field(default_factory=list)
    not_served: str = ""
    failed: str = ""

    def median(self, name: str) -> float | None:
        """The median of a number over the runs; None where no run has it."""
        found = [value for sample in self.samples if (value := getattr(sample, name)) is not None]
        return statistics.median(found) if found else None

    @property
    def errors(self) -> int:
        return sum(sample.errors for sample in self.samples)

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        names = ("rate", "p50", "p99", "cpu", "others")
        return {**asdict(self), "median": {name: self.median(name) for name in names}}


def percentile(values: Sequence[float], percent: float) -> float:
    """The value below which `percent` of `values` lie, between neighbours in proportion; values in any order."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


async def measure(
    subjects: Sequence[Subject], names: Sequence[str], limits: Limits, tell: Callable[[Row], None]
) -> list[Row]:
    """Run the scenarios `names` on all subjects; each row is told when it is whole."""
    rows: list[Row] = []
    for name in names:
        kind = ALL[name]
        for concurrency in (1,) if kind.alone else limits.concurrency:
            found = await _measure_one(subjects, kind, concurrency, limits)
            for row in found:
                tell(row)
            rows += found
            if not any(row.samples for row in found):
                break  # more at a time will not go better
    return rows


async def _measure_one(
    subjects: Sequence[Subject], kind: type[Scenario], concurrency: int, limits: Limits
) -> list[Row]:
    rows = {
        subject.label: {mark: Row(subject.label, kind.name, kind.title(mark), concurrency) for mark in kind.marks}
        for subject in subjects
    }
    for repeat in range(limits.repeats):
        # In turns, so that neither is always the one that finds the machine warm.
        for subject in subjects if repeat % 2 == 0 else reversed(subjects):
            mine = rows[subject.label]
            if any(row.not_served or row.failed for row in mine.values()):
                continue
            try:
                for mark, sample in (await run_once(subject, kind, concurrency, limits)).items():
                    mine[mark].samples.append(sample)
            except NotServed as error:
                for row in mine.values():
                    row.not_served = str(error)
            except FAILURES as error:
                for row in mine.values():
                    row.failed = str(error) or repr(error)
    return [row for mine in rows.values() for row in mine.values()]


async def run_once(subject: Subject, kind: type[Scenario], concurrency: int, limits: Limits) -> dict[str, Sample]:
    """One run, its samples by mark. Raises NotServed, or Refused where no operation succeeds."""
    await subject.client.authenticate()
    subject.stock.used.update(kind.needs)
    for service in kind.needs:
        await subject.client.probe(service)
    scenario = kind(subject.client, subject.stock)
    most = limits.count if kind.most is None else min(limits.count, kind.most)
    try:
        await scenario.prepare(most)
        if kind.most is None:
            await scenario.operate(Watch())  # the first one finds caches cold; it does not count
        return await _run(subject, scenario, concurrency, most, limits.seconds)
    except Refused as error:
        if error.status in UNSERVED:
            raise NotServed(str(error)) from error
        raise
    finally:
        await scenario.tidy()


async def _run(subject: Subject, scenario: Scenario, concurrency: int, most: int, seconds: float) -> dict[str, Sample]:
    times: dict[str, list[float]] = {}
    errors: list[Exception] = []
    tickets = itertools.count()
    before = processes.spent(subject.top)
    bystanders = processes.Bystanders(subject.top)
    began = time.perf_counter()

    async def work() -> None:
        while next(tickets) < most and time.perf_counter() - began < seconds and len(errors) < TOO_MANY_ERRORS:
            watch = Watch()
            try:
                await scenario.operate(watch)
            except FAILURES as error:
                errors.append(error)
                continue
            if not watch.marks:
                watch.mark()
            for mark, took in watch.marks.items():
                times.setdefault(mark, []).append(took * 1000)

    await asyncio.gather(*(work() for _ in range(concurrency)))
    wall = time.perf_counter() - began
    if not times:
        raise errors[0] if errors else Refused(0, "nothing was done")
    after = processes.spent(subject.top)
    share = 1000 / (len(times[scenario.marks[-1]]) * scenario.things)
    by = {name: round((after[name] - before[name]) * share, 3) for name in after if after[name] > before[name]}
    others = bystanders.cores()
    return {
        mark: Sample(
            operations=len(found),
            errors=len(errors),
            rate=len(found) / wall,
            p50=percentile(found, 50),
            p99=percentile(found, 99),
            cpu=sum(by.values()) if subject.top and mark == scenario.marks[-1] else None,
            cpu_by=by,
            others=others,
        )
        for mark, found in times.items()
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that say what is run, and how much of it."""
    usual = Limits()
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=f"default: {' '.join(_names())}")
    parser.add_argument(
        "--concurrency",
        type=lambda text: tuple(int(word) for word in text.split(",")),
        default=usual.concurrency,
        metavar="N,N",
        help="requests at a time (default: 1,8)",
    )
    parser.add_argument("--repeats", type=int, default=usual.repeats, help="runs of which the median is told")
    parser.add_argument("--seconds", type=float, default=usual.seconds, help="a run begins nothing after this time")
    parser.add_argument("--count", type=int, default=usual.count, help="operations of a run at the most")
    parser.add_argument("--timeout", type=float, default=usual.timeout, help="seconds for one request")
    parser.add_argument("--json", metavar="FILE", help="write all numbers there")


def read_arguments(parser: argparse.ArgumentParser, words: argparse.Namespace) -> tuple[list[str], Limits]:
    """The scenarios and limits that were asked for; ends the program for one that is not there."""
    unknown = [name for name in words.scenarios if name not in ALL]
    if unknown:
        parser.error(f"no such scenario: {', '.join(unknown)}; there are {' '.join(ALL)}")
    limits = Limits(words.concurrency, words.repeats, words.seconds, words.count, words.timeout)
    return words.scenarios or _names(), limits


def _names() -> list[str]:
    """What is run where nothing is named."""
    return [name for name, scenario in ALL.items() if scenario.usual]
