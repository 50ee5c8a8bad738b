# SPDX-License-Identifier: Apache-2.0
"""Hooks and fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from support import scenarios
from support.cloud import RunningCloud

SCENARIOS = Path(__file__).parent / "api"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--services", default="", help="run the cloud with these services only: package names, separated by commas"
    )


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    config.stash[scenarios.LAZILY] = scenarios.Lazily(config)
    if getattr(config.option, "dist", "no") == "load":
        config.option.dist = "loadfile"  # the requests of one scenario belong to one process


def pytest_unconfigure(config: pytest.Config) -> None:
    config.stash[scenarios.LAZILY].close()


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    return scenarios.collect(file_path, parent, SCENARIOS)


@pytest.fixture(scope="session")
def cloud(pytestconfig: pytest.Config) -> RunningCloud:
    """The running cloud of this test process."""
    return pytestconfig.stash[scenarios.LAZILY].get()
