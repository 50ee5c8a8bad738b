# SPDX-License-Identifier: Apache-2.0
"""Counters, gauges and histograms, rendered as Prometheus reads them (text exposition format 0.0.4).

    REQUESTS = Counter("cumulet_http_requests_total", "Requests answered.", ("service", "status"))
    REQUESTS.inc("compute", "200")

A metric registers itself in `REGISTRY`, unless told otherwise, when its module is imported. Label values must be few:
route names, not paths.
"""

from __future__ import annotations

import os
import re
import resource
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

# Seconds; from a cached read to a slow boot.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)

_NAME = re.compile(r"cumulet_[a-z0-9_]+")
_LABEL = re.compile(r"(?!__)[a-zA-Z_][a-zA-Z0-9_]*")

Sample = tuple[str, tuple[tuple[str, str], ...], float]  # suffix of the name, labels, value


class Registry:
    """The metrics of a process."""

    def __init__(self) -> None:
        self._metrics: dict[str, Metric] = {}
        self._lock = threading.Lock()

    def register(self, metric: Metric) -> None:
        """Raises ValueError when the name is taken."""
        with self._lock:
            if metric.name in self._metrics:
                raise ValueError(f"there is a metric {metric.name} already")
            self._metrics[metric.name] = metric

    def render(self) -> str:
        """All metrics in the text exposition format, in the order of their names."""
        with self._lock:
            metrics = sorted(self._metrics.values(), key=lambda metric: metric.name)
        return "".join(line for metric in metrics for line in metric.lines())


REGISTRY = Registry()


class Metric:
    """A name, a line of help, the names of the labels, and a value for each combination of their values."""

    kind = "untyped"

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = (), registry: Registry | None = None) -> None:
        """Raises ValueError for a name not `cumulet_...` in lower case, and a label that is not an identifier."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"not a name for a metric: {name}")
        if not all(_LABEL.fullmatch(label) and label != "le" for label in labels) or len(set(labels)) < len(labels):
            raise ValueError(f"not names for the labels of {name}: {labels}")
        self.name = name
        self._help = help_text
        self._labels = tuple(labels)
        self._lock = threading.Lock()
        (registry or REGISTRY).register(self)

    def lines(self) -> Iterator[str]:
        """The metric's lines in the text exposition format."""
        yield f"# HELP {self.name} {_escape(self._help)}\n"
        yield f"# TYPE {self.name} {self.kind}\n"
        for suffix, labels, value in self.samples():
            inner = ",".join(f'{label}="{_escape(text, quotes=True)}"' for label, text in labels)
            yield (
                f"{self.name}{suffix}{{{inner}}} {_number(value)}\n"
                if inner
                else f"{self.name}{suffix} {_number(value)}\n"
            )

    def samples(self) -> list[Sample]:
        """The values now."""
        return []

    def _key(self, values: tuple[str, ...]) -> tuple[str, ...]:
        if len(values) != len(self._labels):
            raise ValueError(f"{self.name} has the labels {self._labels}, not {values}")
        return values

    def _named(self, values: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
        return tuple(zip(self._labels, values, strict=True))


class Counter(Metric):
    """What only grows: requests, errors, bytes. Its name ends in `_total`."""

    kind = "counter"

    def __init__(self, name: str, help_text: str, labels: Sequence[str] = (), registry: Registry | None = None) -> None:
        if not name.endswith("_total"):
            raise ValueError(f"the name of a counter ends in _total: {name}")
        super().__init__(name, help_text, labels, registry)
        self._values: dict[tuple[str, ...], float] = {} if labels else {(): 0.0}

    def inc(self, *labels: str) -> None:
        """Add one."""
        self.add(1.0, *labels)

    def add(self, amount: float, *labels: str) -> None:
        """Add a positive amount. Raises ValueError for a negative one and for a wrong number of labels."""
        if amount < 0:
            raise ValueError(f"{self.name} cannot go down")
        key = self._key(labels)
        with self._lock:
            self._values[key] = self._values.get(key, 0.0) + amount

    def samples(self) -> list[Sample]:
        """One value for each combination of labels that was counted."""
        with self._lock:
            values = list(self._values.items())
        return [("", self._named(key), value) for key, value in values]


class Gauge(Metric):
    """What goes up and down: set it, or let `source` be asked at each rendering (then it has no labels)."""

    kind = "gauge"

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str] = (),
        registry: Registry | None = None,
        source: Callable[[], float] | None = None,
    ) -> None:
        super().__init__(name, help_text, labels, registry)
        self._source: Callable[[], float] | None = None
        if source is not None:
            self.follow(source)
        self._values: dict[tuple[str, ...], float] = {} if labels or source else {(): 0.0}

    def follow(self, source: Callable[[], float]) -> None:
        """Ask `source` at each rendering from now on. Raises ValueError for a gauge with labels."""
        if self._labels:
            raise ValueError(f"{self.name}: a gauge with a source has no labels")
        self._source = source

    def set(self, value: float, *labels: str) -> None:
        """Put `value` in place of the last one."""
        key = self._key(labels)
        with self._lock:
            self._values[key] = float(value)

    def add(self, amount: float, *labels: str) -> None:
        """Add an amount, which may be negative."""
        key = self._key(labels)
        with self._lock:
            self._values[key] = self._values.get(key, 0.0) + amount

    def remove(self, *labels: str) -> None:
        """Forget the value of something that is gone."""
        with self._lock:
            self._values.pop(self._key(labels), None)

    def samples(self) -> list[Sample]:
        """One value for each combination of labels; of a source that fails, none."""
        if self._source is not None:
            try:
                return [("", (), float(self._source()))]
            except Exception:
                return []
        with self._lock:
            values = list(self._values.items())
        return [("", self._named(key), value) for key, value in values]


class Histogram(Metric):
    """How values (seconds, bytes) are spread: counts below each bound, their sum and number."""

    kind = "histogram"

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str] = (),
        registry: Registry | None = None,
        buckets: Sequence[float] = BUCKETS,
    ) -> None:
        """`buckets` are upper bounds, inclusive and rising; one without bound is added."""
        if not buckets or any(low >= high for low, high in pairwise(buckets)):
            raise ValueError(f"the buckets of {name} do not rise: {buckets}")
        super().__init__(name, help_text, labels, registry)
        self._bounds = tuple(map(float, buckets))
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._sums: dict[tuple[str, ...], float] = {}

    def observe(self, value: float, *labels: str) -> None:
        """Count one value."""
        key = self._key(labels)
        index = bisect_left(self._bounds, value)
        with self._lock:
            counts = self._counts.get(key)
            if counts is None:
                counts = self._counts[key] = [0] * (len(self._bounds) + 1)
            counts[index] += 1
            self._sums[key] = self._sums.get(key, 0.0) + value

    @contextmanager
    def time(self, *labels: str) -> Iterator[None]:
        """Count the seconds that the block takes, also when it raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.observe(time.perf_counter() - start, *labels)

    def samples(self) -> list[Sample]:
        """Cumulative buckets, sum and count for each combination of labels."""
        with self._lock:
            states = [(key, list(counts), self._sums[key]) for key, counts in self._counts.items()]
        found: list[Sample] = []
        for key, counts, total in states:
            named, below = self._named(key), 0
            for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
                below += count
                found.append(("_bucket", (*named, ("le", _number(bound))), below))
            found += [("_sum", named, total), ("_count", named, below)]
        return found


def render() -> str:
    """The process's metrics, to be served as `CONTENT_TYPE`."""
    return REGISTRY.render()


def _escape(text: str, *, quotes: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n")
    return text.replace('"', '\\"') if quotes else text


def _number(value: float) -> str:
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(float(value))


# The process itself


class _CpuSeconds(Counter):
    """A counter that the kernel keeps."""

    def samples(self) -> list[Sample]:
        """User and system time of all threads."""
        used = resource.getrusage(resource.RUSAGE_SELF)
        return [("", (), used.ru_utime + used.ru_stime)]


def _resident_bytes() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _open_files() -> float:
    # The directory listing itself holds one.
    return len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208 - names are enough


def _start_time() -> float:
    booted = next(int(line.split()[1]) for line in Path("/proc/stat").read_text().splitlines() if line[:6] == "btime ")
    # The program's name, in parentheses, may hold spaces; of what follows the 20th field is the start, in ticks.
    ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    return booted + ticks / os.sysconf("SC_CLK_TCK")


_CpuSeconds("cumulet_process_cpu_seconds_total", "User and system CPU time of this process, in seconds.")
Gauge("cumulet_process_resident_memory_bytes", "Memory of this process that is resident.", source=_resident_bytes)
Gauge("cumulet_process_open_fds", "Open file descriptors of this process.", source=_open_files)
Gauge("cumulet_process_start_time_seconds", "When this process began, in seconds since the epoch.", source=_start_time)
