# SPDX-License-Identifier: Apache-2.0
"""A database with placement's tables, and the contract on it."""

from __future__ import annotations

from pathlib import Path

import pytest

import cumulet.services.placement
from cumulet.kernel.db import migrate
from cumulet.services.placement.facade import Placement
from cumulet.services.placement.logic.memory import Memory

MIGRATIONS = Path(cumulet.services.placement.__file__).parent / "migrations"


@pytest.fixture
def db(empty):
    migrate.migrate(empty, {"placement": MIGRATIONS})
    return empty


@pytest.fixture
def placement():
    return Placement(Memory())
