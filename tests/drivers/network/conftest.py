# SPDX-License-Identifier: Apache-2.0
"""Each test of this folder runs on every network engine."""

from __future__ import annotations

import os

import pytest
from network_labs import FabricLab, FakeLab


@pytest.fixture(params=["fake", pytest.param("fabric", marks=pytest.mark.root)])
def lab(request):
    if request.param == "fabric" and os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    place = FakeLab() if request.param == "fake" else FabricLab()
    yield place
    place.close()
