# SPDX-License-Identifier: Apache-2.0
"""The load driver is no part of the package: it is found beside it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.cloud import RunningCloud

sys.path.insert(0, str(Path(__file__).parents[3]))


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """A cloud of its own: what others left in a shared one would be measured too."""
    running = RunningCloud(tmp_path_factory.mktemp("bench"))
    yield running
    running.close()
