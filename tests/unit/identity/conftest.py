# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the identity service's unit tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from identity_cloud import made_and_filled

from cumulet.kernel.cloud import Cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A filled identity service of the test's own."""
    made = made_and_filled(tmp_path)
    yield made
    made.db.close()
