# SPDX-License-Identifier: Apache-2.0
"""A copy of the database as of one moment: writers wait, what they write later is not in it, it can be filled again."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from sqlalchemy import func, select

from cumulet.kernel.db import Database, migrate, sql, tables
from cumulet.kernel.db.hold import DUMP, hold, load
from cumulet.settings import Settings
from cumulet.settings.processes import Database as DatabaseSettings
from support.engines import ENGINES, POSTGRES


@pytest.fixture
def settings(engine: str, pytestconfig: pytest.Config, tmp_path: Path) -> Settings:
    """Of a cloud whose database has the kernel's tables, and one lease."""
    url = pytestconfig.stash[ENGINES].new_url(engine)
    found = Settings(state=tmp_path, database=DatabaseSettings(url=url))
    database = Database.open(found)
    migrate.migrate(database, {})
    database.write(lambda tx: put(tx, "before"))
    database.close()
    return found


def put(tx, name: str) -> None:
    sql.execute(tx, tables.lease.insert().values(name=name, owner="me", until=1.0))


def count(database: Database) -> int:
    return int(sql.scalar(database, select(func.count()).select_from(tables.lease)) or 0)


def test_writers_wait_and_are_not_in_the_copy(settings: Settings, engine: str, pytestconfig, tmp_path: Path) -> None:
    database = Database.open(settings)
    folder = tmp_path / "copy"
    folder.mkdir()
    done = threading.Event()

    def write() -> None:
        database.write(lambda tx: put(tx, "after"))
        done.set()

    writer = threading.Thread(target=write)
    with hold(settings) as held:
        assert held.engine == engine
        writer.start()
        assert not done.wait(0.5)
        held.release()
        assert done.wait(30)
        assert held.save(folder) == (DUMP if engine == POSTGRES else "cumulet.db")
    writer.join()
    assert count(database) == 2
    database.close()
    again = restored(engine, pytestconfig, folder)
    assert count(again) == 1
    assert not migrate.pending(again, {})
    again.close()


def restored(engine: str, pytestconfig: pytest.Config, folder: Path) -> Database:
    if engine != POSTGRES:
        assert sqlite3.connect(folder / "cumulet.db").execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return Database.sqlite(folder / "cumulet.db")
    settings = Settings(state=folder, database=DatabaseSettings(url=pytestconfig.stash[ENGINES].new_url(engine)))
    load(settings, folder)
    with pytest.raises(RuntimeError, match="not empty"):
        load(settings, folder)
    return Database.open(settings)


def test_an_end_without_release_lets_writers_go_on(settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError), hold(settings):
        raise ZeroDivisionError
    database = Database.open(settings)
    database.write(lambda tx: put(tx, "after"))
    database.close()


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="no database"), hold(Settings(state=tmp_path / "none")):
        pass
