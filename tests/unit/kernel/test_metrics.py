# SPDX-License-Identifier: Apache-2.0
"""Metrics: their output is read back by a strict reader of the text exposition format."""

from __future__ import annotations

import math
import os
import re
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.kernel import metrics
from cumulet.kernel.metrics import Counter, Gauge, Histogram, Registry

SAMPLE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"(?:,|\Z)')
UNESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def read(text: str) -> tuple[dict[str, str], dict[str, str], Samples]:
    """Kinds, helps and samples; fails on whatever Prometheus would not take."""
    assert text == "" or text.endswith("\n")
    kinds: dict[str, str] = {}
    helps: dict[str, str] = {}
    samples: Samples = {}
    family = ""
    for line in text.split("\n")[:-1]:
        if line.startswith("# HELP "):
            family, words = line[7:].split(" ", 1)
            assert family not in helps
            helps[family] = re.sub(r"\\[\\n]", lambda found: UNESCAPED[found[0]], words)
        elif line.startswith("# TYPE "):
            name, kind = line[7:].split(" ")
            assert name == family
            assert kind in ("counter", "gauge", "histogram")
            kinds[name] = kind
        else:
            found = SAMPLE.fullmatch(line)
            assert found is not None, line
            name, inner, value = found.groups()
            suffixes = ("_bucket", "_sum", "_count") if kinds[family] == "histogram" else ("",)
            assert name in [family + suffix for suffix in suffixes]
            labels, at = [], 0
            while inner and at < len(inner):
                label = LABEL.match(inner, at)
                assert label is not None, line
                labels.append((label[1], re.sub(r"\\.", lambda found: UNESCAPED[found[0]], label[2])))
                at = label.end()
            key = (name, tuple(labels))
            assert key not in samples, "twice"
            samples[key] = float(value)
    for name, kind in kinds.items():
        if kind == "histogram":
            check_histogram(name, samples)
    return kinds, helps, samples


def check_histogram(name: str, samples: Samples) -> None:
    groups: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    for (sample, labels), value in samples.items():
        if sample == f"{name}_bucket":
            assert labels[-1][0] == "le"
            groups.setdefault(labels[:-1], []).append((float(labels[-1][1]), value))
    for labels, buckets in groups.items():
        assert buckets == sorted(buckets)
        assert [count for _, count in buckets] == sorted(count for _, count in buckets)
        assert buckets[-1][0] == math.inf
        assert buckets[-1][1] == samples[(f"{name}_count", labels)]
        assert (f"{name}_sum", labels) in samples


@pytest.fixture
def registry():
    return Registry()


def test_counters_count(registry):
    requests = Counter("cumulet_requests_total", "Requests.", ("service", "status"), registry)
    plain = Counter("cumulet_plain_total", "Plain.", registry=registry)
    requests.add(1, "compute", "200")
    requests.add(2.5, "compute", "200")
    requests.inc("image", "404")
    kinds, helps, samples = read(registry.render())
    assert kinds == {"cumulet_requests_total": "counter", "cumulet_plain_total": "counter"}
    assert helps["cumulet_requests_total"] == "Requests."
    assert samples == {
        ("cumulet_plain_total", ()): 0,
        ("cumulet_requests_total", (("service", "compute"), ("status", "200"))): 3.5,
        ("cumulet_requests_total", (("service", "image"), ("status", "404"))): 1,
    }
    with pytest.raises(ValueError, match="cannot go down"):
        plain.add(-1)
    with pytest.raises(ValueError, match="has the labels"):
        requests.add(1, "compute")


def test_gauges_are_set_asked_and_forgotten(registry):
    hosts = Gauge("cumulet_hosts", "Hosts.", ("state",), registry)
    hosts.set(3, "up")
    hosts.add(-1, "up")
    hosts.set(1, "down")
    hosts.remove("down")
    lag = [0.25]
    gauge = Gauge("cumulet_loop_lag_seconds", "Lag.", registry=registry, source=lambda: 7)
    assert read(registry.render())[2][("cumulet_loop_lag_seconds", ())] == 7
    gauge.follow(lambda: lag[0])
    with pytest.raises(ValueError, match="no labels"):
        hosts.follow(lambda: 1)
    Gauge("cumulet_broken", "Broken.", registry=registry, source=lambda: 1 / 0)
    assert read(registry.render())[2] == {
        ("cumulet_hosts", (("state", "up"),)): 2,
        ("cumulet_loop_lag_seconds", ()): 0.25,
    }
    lag[0] = math.inf
    assert read(registry.render())[2][("cumulet_loop_lag_seconds", ())] == math.inf


def test_histograms_are_cumulative(registry):
    seconds = Histogram("cumulet_seconds", "Seconds.", ("path",), registry, (0.1, 1, 10))
    for value in (0.1, 0.05, 0.5, 10, 11):
        seconds.observe(value, "a")
    with pytest.raises(KeyError), seconds.time("b"):
        raise KeyError
    samples = read(registry.render())[2]
    counts = [samples[("cumulet_seconds_bucket", (("path", "a"), ("le", le)))] for le in ("0.1", "1", "10", "+Inf")]
    assert counts == [2, 3, 4, 5]
    assert samples[("cumulet_seconds_sum", (("path", "a"),))] == pytest.approx(21.65)
    assert samples[("cumulet_seconds_count", (("path", "b"),))] == 1


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32)), st.text())
def test_any_values_and_texts_can_be_read_back(values, text):
    registry = Registry()
    histogram = Histogram("cumulet_h", text, ("x",), registry, (-1, 0, 1e3))
    gauge = Gauge("cumulet_g", "x", ("x",), registry)
    for value in values:
        histogram.observe(value, text)
        gauge.set(value, text)
    _kinds, helps, samples = read(registry.render())
    assert helps["cumulet_h"] == text
    if values:
        assert samples[("cumulet_g", (("x", text),))] == values[-1]
        assert samples[("cumulet_h_count", (("x", text),))] == len(values)


def test_threads_lose_no_counts(registry):
    counter = Counter("cumulet_c_total", "C.", ("x",), registry)
    histogram = Histogram("cumulet_h", "H.", (), registry)
    stop = threading.Event()

    def work():
        for _ in range(2000):
            counter.add(1, "a")
            histogram.observe(0.01)

    def look():
        while not stop.is_set():
            read(registry.render())

    threads = [threading.Thread(target=work) for _ in range(4)]
    reader = threading.Thread(target=look)
    for thread in (*threads, reader):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    reader.join()
    samples = read(registry.render())[2]
    assert samples[("cumulet_c_total", (("x", "a"),))] == 8000
    assert samples[("cumulet_h_count", ())] == 8000


@pytest.mark.parametrize(
    "make",
    [
        lambda registry: Counter("cumulet_c", "C.", registry=registry),
        lambda registry: Gauge("c", "C.", registry=registry),
        lambda registry: Gauge("cumulet_C", "C.", registry=registry),
        lambda registry: Gauge("cumulet_g", "G.", ("a-b",), registry),
        lambda registry: Gauge("cumulet_g", "G.", ("a", "a"), registry),
        lambda registry: Gauge("cumulet_g", "G.", ("le",), registry),
        lambda registry: Gauge("cumulet_g", "G.", ("a",), registry, source=lambda: 1),
        lambda registry: Histogram("cumulet_h", "H.", (), registry, (1, 1)),
        lambda registry: Histogram("cumulet_h", "H.", (), registry, ()),
        lambda registry: [Gauge("cumulet_g", "G.", registry=registry) for _ in range(2)],
    ],
)
def test_wrong_definitions_are_refused(registry, make):
    with pytest.raises(ValueError, match=r"cumulet_|not a name"):
        make(registry)


def test_the_process_reports_itself():
    kinds, _, samples = read(metrics.render())
    assert kinds["cumulet_process_cpu_seconds_total"] == "counter"
    assert samples[("cumulet_process_cpu_seconds_total", ())] > 0
    assert samples[("cumulet_process_resident_memory_bytes", ())] > 1e6
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
    try:
        assert (
            read(metrics.render())[2][("cumulet_process_open_fds", ())] == samples[("cumulet_process_open_fds", ())] + 3
        )
    finally:
        for descriptor in opened:
            os.close(descriptor)
    assert time.time() - 3600 < samples[("cumulet_process_start_time_seconds", ())] <= time.time() + 1
