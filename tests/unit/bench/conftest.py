# SPDX-License-Identifier: Apache-2.0
"""What the load driver is tried on."""

from __future__ import annotations

import pytest

from support.cloud import RunningCloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    """A cloud of its own: what others left in a shared one would be measured too."""
    running = RunningCloud(tmp_path_factory.mktemp("bench"))
    yield running
    running.close()
