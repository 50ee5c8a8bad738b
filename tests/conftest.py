# SPDX-License-Identifier: Apache-2.0
"""Hooks and fixtures of all tests."""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from cumulet.kernel.db import Database
from support import quick_http, scenarios, trusted
from support.cloud import RunningCloud
from support.engines import CHOICES, ENGINES, IN_TURN, LAZILY, SQLITE, Engines, Lazily, left_out

SCENARIOS = Path(__file__).parent / "api"

# How long an example takes says how busy the machine is, nothing about the code.
hypothesis.settings.register_profile("tests", deadline=None)
hypothesis.settings.load_profile("tests")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--services", default="", help="run the cloud with these services only: package names, separated by commas"
    )
    parser.addoption("--database", default=SQLITE, choices=tuple(CHOICES), help="the databases to run the tests on")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    trusted.share()
    quick_http.use()
    config.stash[ENGINES] = Engines(config)
    config.stash[LAZILY] = Lazily(config, config.stash[ENGINES])
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "loadfile"  # the requests of one scenario belong to one process
        # Else files of few tests come last, which are the long ones: a process would wait for the other's.
        config.option.loadscopereorder = False


def pytest_unconfigure(config: pytest.Config) -> None:
    if LAZILY in config.stash:
        config.stash[LAZILY].close()
    if ENGINES in config.stash:
        config.stash[ENGINES].close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell another process of this run which server there is."""
    node.workerinput["postgres"] = node.config.stash[ENGINES].server


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected stays: to look through it for garbage again and again takes a third of the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return scenarios.collect(file_path, parent, SCENARIOS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests that touch a database run on each that was asked for."""
    names = metafunc.config.stash[ENGINES].names
    if "engine" in metafunc.fixturenames and names != (SQLITE,):
        metafunc.parametrize("engine", names, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Where both databases were asked for, tests that may take turns do."""
    if config.getoption("database") == IN_TURN and (gone := left_out(items)):
        config.hook.pytest_deselected(items=gone)
        kept = set(items) - set(gone)
        items[:] = [item for item in items if item in kept]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure is reported with the slow work that was under way in the test's clouds."""
    report = yield
    if report.failed and report.when == "call":
        given = getattr(item, "funcargs", {}).values()
        clouds = (each if isinstance(each, RunningCloud) else getattr(each, "cloud", None) for each in given)
        words = [line for each in clouds if isinstance(each, RunningCloud) for line in each.unfinished()]
        if words:
            report.sections.append(("Unfinished sagas", "\n".join(words)))
    return report


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> str:
    """The database engine that the test runs on: sqlite or postgres."""
    return str(getattr(request, "param", SQLITE))


@pytest.fixture(scope="session")
def cloud(engine: str, pytestconfig: pytest.Config) -> RunningCloud:
    """The running cloud of this test process, on the engine in turn."""
    return pytestconfig.stash[LAZILY].get(engine)


@pytest.fixture
def empty(engine: str, pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[Database]:
    """A new database without any table, on the engine in turn."""
    database = pytestconfig.stash[ENGINES].open(engine, tmp_path)
    yield database
    database.close()


@pytest.fixture
def again(empty: Database, pytestconfig: pytest.Config, tmp_path: Path) -> Iterator[Callable[[], Database]]:
    """Opens the database `empty` once more, as another process would."""
    opened: list[Database] = []

    def open_again() -> Database:
        opened.append(pytestconfig.stash[ENGINES].again(empty, tmp_path))
        return opened[-1]

    yield open_again
    for database in opened:
        database.close()
