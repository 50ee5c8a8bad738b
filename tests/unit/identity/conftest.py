# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the identity service's unit tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from identity_cloud import made_and_filled

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Database, migrate
from cumulet.kernel.vault import Vault


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    """A filled identity service of the test's own."""
    made = made_and_filled(tmp_path)
    yield made
    made.db.close()


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vault]:
    """A vault in a database with nothing else."""
    folder = tmp_path_factory.mktemp("keys")
    db = Database.sqlite(folder / "cloud.db", durable=False)
    migrate.migrate(db, {})
    yield Vault(db, folder / "master.key")
    db.close()
