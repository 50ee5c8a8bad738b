# SPDX-License-Identifier: Apache-2.0
"""YAML files below `tests/api` as tests: gabbi's format, one test a request, run against the one running cloud."""

from __future__ import annotations

import os
import unittest
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from gabbi import handlers, suitemaker
from gabbi.case import HTTPTestCase

from support import yaml_files
from support.cloud import RunningCloud
from support.engines import ENGINES, LAZILY, SQLITE
from support.people import environment

SHOWN = 4000  # characters of an answer that a failure shows


class Scenario(pytest.File):
    """One file: its requests run in order, by people of their own."""

    def collect(self) -> Iterable[pytest.Item]:
        self._cases: dict[str, list[HTTPTestCase]] = {}
        self._environment: dict[str, dict[str, str]] = {}
        tests = yaml_files.read(self.path)["tests"]
        engines = self.config.stash[ENGINES].names
        for engine in engines:
            for number, words in enumerate(tests):
                name = words["name"] if engines == (SQLITE,) else f"{words['name']}[{engine}]"
                yield Exchange.from_parent(self, name=name, number=number, engine=engine)

    def case(self, number: int, engine: str) -> HTTPTestCase:
        """The request, with its environment set."""
        if engine not in self._cases:
            cloud = self.config.stash[LAZILY].get(engine)
            self._environment[engine] = environment(cloud, objects="object_store" in self.path.parts)
            self._cases[engine] = list(self._build(cloud))
        os.environ.update(self._environment[engine])
        return self._cases[engine][number]

    def _build(self, cloud: RunningCloud) -> Iterable[HTTPTestCase]:
        return suitemaker.test_suite_from_dict(  # type: ignore[no-any-return]
            unittest.TestLoader(),
            self.path.stem,
            yaml_files.read(self.path),
            str(self.path.parent),
            cloud.settings.control.host,
            cloud.settings.control.port,
            None,
            None,
            handlers=[handler() for handler in handlers.RESPONSE_HANDLERS],
        )


class Exchange(pytest.Item):
    """One request and what is expected of the answer."""

    def __init__(self, *, number: int, engine: str, **named: Any) -> None:
        super().__init__(**named)
        self._number = number
        self._engine = engine

    def runtest(self) -> None:
        assert isinstance(self.parent, Scenario)
        case = self.parent.case(self._number, self._engine)
        result = unittest.TestResult()
        case.run(result)
        case.http.client.close()
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
