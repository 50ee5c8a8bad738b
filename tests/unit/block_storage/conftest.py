# SPDX-License-Identifier: Apache-2.0
"""A cloud for the tests of volumes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.cloud import RunningCloud
from support.engines import ENGINES


@pytest.fixture(scope="module")
def cloud(engine: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud of each module's own: what others left in a shared one would be in the way of its slow work."""
    running = RunningCloud(tmp_path_factory.mktemp("vol"), (), pytestconfig.stash[ENGINES].new_url(engine))
    yield running
    running.close()
