# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server that a module's tests may stop as they like."""

from __future__ import annotations

import pytest

from support import postgres


@pytest.fixture(scope="module")
def server():
    started = postgres.Server()
    yield started
    started.close()
