# SPDX-License-Identifier: Apache-2.0
"""A rollback needs no restore: this release serves a database that the next one has expanded, in every table.

The next release is this one's scripts and one more each, which gives each table a column that may be empty, one with a
default, and an index, and each service a table.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import inspect

from cumulet.app import SERVICES
from cumulet.kernel.db import Database, migrate
from cumulet.kernel.manifest import read_all
from cumulet.settings import Settings
from support.cloud import RunningCloud
from support.engines import ENGINES
from support.sample import Sample

PICTURE = os.urandom(100_000)


def folders_of_the_next(database: Database, folder: Path) -> dict[str, Path]:
    """Every service's scripts, copied, with one more; the kernel's stay, which `migrate` adds by itself."""
    found = {}
    with database._use() as connection:
        tables = inspect(connection).get_table_names()
    for service in read_all(SERVICES):
        if service.migrations:
            found[service.package] = folder / service.package
            shutil.copytree(service.migrations, found[service.package])
            own = [table for table in tables if table.startswith(f"{service.package}_")]
            assert own, service.package
            script = found[service.package] / "9999_expand_later.sql"
            script.write_text(_script(service.package, own))
    return found


def _script(package: str, tables: list[str]) -> str:
    lines = [f"CREATE TABLE {package}_later (id INTEGER NOT NULL PRIMARY KEY, words TEXT);"]
    for table in tables:
        lines += [
            f"ALTER TABLE {table} ADD COLUMN later_words TEXT;",
            f"ALTER TABLE {table} ADD COLUMN later_count INTEGER DEFAULT 7 NOT NULL;",
            f"CREATE INDEX {table}_later ON {table} (later_count);",
        ]
    return "\n".join(lines) + "\n"


@pytest.mark.timeout(600)
def test_this_release_serves_what_the_next_one_expanded(
    engine: str, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    url = pytestconfig.stash[ENGINES].new_url(engine)
    state = tmp_path / "s"
    cloud = RunningCloud(state, (), url)
    try:
        before = Sample(cloud, PICTURE, "before")
        settings: Settings = cloud.settings
    finally:
        cloud.close()
    database = Database.open(settings)
    try:
        applied = migrate.migrate(database, folders_of_the_next(database, tmp_path / "next"))
        assert len(applied) == len([name for name in applied if name.endswith("/9999_expand_later.sql")]) > 3
    finally:
        database.close()
    cloud = RunningCloud(state, (), url)
    try:
        before.cloud = cloud
        before.wait(f"compute/v2.1/servers/{before.server}", "server", "ACTIVE")
        after = Sample(cloud, PICTURE, "after")
        before.remove()
        after.remove()
    finally:
        cloud.close()
