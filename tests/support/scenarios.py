# SPDX-License-Identifier: Apache-2.0
"""YAML files below `tests/api` as tests: gabbi's format, one test a request, run against the one running cloud."""

from __future__ import annotations

import os
import tempfile
import unittest
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import yaml
from gabbi import handlers, suitemaker
from gabbi.case import HTTPTestCase

from support.cloud import RunningCloud
from support.people import environment

SHOWN = 4000  # characters of an answer that a failure shows


class Lazily:
    """The cloud of this test process, started when the first test asks for it."""

    def __init__(self, config: pytest.Config) -> None:
        self._packages = [word for word in config.getoption("services").split(",") if word]
        self._running: RunningCloud | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def get(self) -> RunningCloud:
        if self._running is None:
            self._folder = tempfile.TemporaryDirectory(prefix="cumulet-test-")
            self._running = RunningCloud(Path(self._folder.name), self._packages)
        return self._running

    def close(self) -> None:
        if self._running is not None:
            self._running.close()
        if self._folder is not None:
            self._folder.cleanup()


LAZILY = pytest.StashKey[Lazily]()


class Scenario(pytest.File):
    """One file: its requests run in order, by people of their own."""

    def collect(self) -> Iterable[pytest.Item]:
        self._cases: list[HTTPTestCase] = []
        self._environment: dict[str, str] = {}
        for number, words in enumerate(yaml.safe_load(self.path.read_text())["tests"]):
            yield Exchange.from_parent(self, name=words["name"], number=number)

    def case(self, number: int) -> HTTPTestCase:
        """The request, with its environment set."""
        if not self._cases:
            cloud = self.config.stash[LAZILY].get()
            self._environment = environment(cloud)
            self._cases = list(self._build(cloud))
        os.environ.update(self._environment)
        return self._cases[number]

    def _build(self, cloud: RunningCloud) -> Iterable[HTTPTestCase]:
        return suitemaker.test_suite_from_dict(  # type: ignore[no-any-return]
            unittest.TestLoader(),
            self.path.stem,
            yaml.safe_load(self.path.read_text()),
            str(self.path.parent),
            cloud.settings.control.host,
            cloud.settings.control.port,
            None,
            None,
            handlers=[handler() for handler in handlers.RESPONSE_HANDLERS],
        )


class Exchange(pytest.Item):
    """One request and what is expected of the answer."""

    def __init__(self, *, number: int, **named: Any) -> None:
        super().__init__(**named)
        self._number = number

    def runtest(self) -> None:
        assert isinstance(self.parent, Scenario)
        case = self.parent.case(self._number)
        result = unittest.TestResult()
        case.run(result)
        for _, reason in result.skipped:
            pytest.skip(reason)
        for _, trace in (*result.failures, *result.errors):
            raise Unexpected(case, trace)
        if result.unexpectedSuccesses:
            raise Unexpected(case, "this was expected to fail")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        if isinstance(excinfo.value, Unexpected):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.path.stem}: {self.name}"


class Unexpected(Exception):
    """The answer is not the one expected."""

    def __init__(self, case: HTTPTestCase, trace: str) -> None:
        answer = getattr(case, "response", None) or {}
        shown = getattr(case, "output", None)
        lines = (
            f"{case.test_data['method']} {getattr(case, 'url', case.test_data['url'])} -> {answer.get('status')}",
            str(shown)[:SHOWN],
            trace.strip().rpartition("\n")[2] if "AssertionError" in trace else trace,
        )
        super().__init__("\n".join(lines))


def collect(file_path: Path, parent: pytest.Collector, below: Path) -> pytest.Collector | None:
    """The hook `pytest_collect_file`, for YAML files in folders of `below`."""
    make: Callable[..., Scenario] = Scenario.from_parent
    if file_path.suffix == ".yaml" and file_path.parent.parent == below:
        return make(parent, path=file_path)
    return None
