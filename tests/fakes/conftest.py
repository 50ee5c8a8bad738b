# SPDX-License-Identifier: Apache-2.0
"""What the tests of clouds of many hosts share: one such cloud for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.crowd import Crowd
from support.cloud import RunningCloud


@pytest.fixture(scope="package")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crowd]:
    """A cloud with fifty hosts beside its own; whoever changes hosts uses some that nobody else does."""
    cloud = RunningCloud(Path(tmp_path_factory.mktemp("many")))
    try:
        made = Crowd(cloud)
        yield made
        made.hosts.stop()
    finally:
        cloud.close()
