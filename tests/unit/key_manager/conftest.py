# SPDX-License-Identifier: Apache-2.0
"""A database with the key manager's tables, a vault beside it, and a ring of keys."""

from __future__ import annotations

from pathlib import Path

import pytest

import cumulet.services.key_manager
from cumulet.kernel.db import migrate
from cumulet.kernel.vault import Vault
from cumulet.services.key_manager.logic.keys import Keyring

MIGRATIONS = Path(cumulet.services.key_manager.__file__).parent / "migrations"


@pytest.fixture
def db(empty):
    migrate.migrate(empty, {"key_manager": MIGRATIONS})
    return empty


@pytest.fixture
def vault(db, tmp_path):
    return Vault(db, tmp_path / "master.key")


@pytest.fixture
def ring(db, vault):
    return Keyring(db, vault)
