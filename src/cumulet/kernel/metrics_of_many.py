# SPDX-License-Identifier: Apache-2.0
"""Metrics of several processes that do one work: what was counted is summed, what is measured stands for each."""

from __future__ import annotations

from collections.abc import Mapping

_SUMMED = ("counter", "histogram")


def together(pages: Mapping[str, str]) -> str:
    """One page of those that `metrics.render` has made in each worker, by its name.

    Counters and histograms are summed; other values have the label `worker`.
    """
    kinds: dict[str, str] = {}
    heads: dict[str, list[str]] = {}
    summed: dict[str, dict[str, float]] = {}
    alone: dict[str, list[str]] = {}
    for worker, page in pages.items():
        name = ""
        for line in page.splitlines():
            if line.startswith("# "):
                _, what, name, words = line.split(" ", 3)
                if what == "TYPE":
                    kinds[name] = words
                head = heads.setdefault(name, [])
                if len(head) < 2:
                    head.append(line)
                continue
            sample, _, value = line.rpartition(" ")
            if kinds.get(name) in _SUMMED:
                values = summed.setdefault(name, {})
                values[sample] = values.get(sample, 0.0) + float(value)
            else:
                alone.setdefault(name, []).append(f"{_labelled(sample, worker)} {value}")
    lines = []
    for name in sorted(heads):
        lines += heads[name]
        lines += [f"{sample} {_number(value)}" for sample, value in summed.get(name, {}).items()]
        lines += alone.get(name, [])
    return "".join(f"{line}\n" for line in lines)


def _labelled(sample: str, worker: str) -> str:
    name, brace, labels = sample.partition("{")
    return f'{name}{{worker="{worker}",{labels}' if brace else f'{name}{{worker="{worker}"}}'


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
