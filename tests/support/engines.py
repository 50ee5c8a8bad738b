# SPDX-License-Identifier: Apache-2.0
"""The database engines that a test run covers: `pytest --database sqlite | postgres | both | each`.

With `both`, tests marked `in_turn` run on one of the two: what a machine makes by the thousand asks the database the
same questions again and again. With `each`, every test runs on each.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterable
from pathlib import Path

import pytest

from cumulet.kernel.db import Database
from cumulet.kernel.db.dialects.postgres import Postgres
from support import postgres
from support.cloud import RunningCloud

SQLITE, POSTGRES = "sqlite", "postgres"
TWO = (SQLITE, POSTGRES)
IN_TURN = "both"
CHOICES = {SQLITE: (SQLITE,), POSTGRES: (POSTGRES,), IN_TURN: TWO, "each": TWO}


def left_out(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Of tests marked `in_turn`, those whose turn it is on the other engine; the same in every run."""
    return [item for item in items if item.get_closest_marker("in_turn") and not _is_its_turn(item)]


def _is_its_turn(item: pytest.Item) -> bool:
    assert isinstance(item, pytest.Function)
    engine = item.callspec.params["engine"]
    others = sorted((name, at) for name, at in item.callspec.indices.items() if name != "engine")
    return TWO[zlib.crc32(f"{item.originalname}{others}".encode()) % len(TWO)] == engine


class Engines:
    """The engines of this run; one server of PostgreSQL for all its processes, started by the first of them."""

    def __init__(self, config: pytest.Config) -> None:
        self.names = CHOICES[config.getoption("database")]
        self._own: postgres.Server | None = None
        workers: dict[str, str] | None = getattr(config, "workerinput", None)
        self._server = workers["postgres"] if workers is not None else ""
        if POSTGRES in self.names and workers is None:
            self._own = postgres.Server()
            self._server = self._own.url("postgres")

    @property
    def server(self) -> str:
        """The URL of the server's own database; empty where the run does without."""
        return self._server

    def new_url(self, engine: str) -> str:
        """A new, empty database, as the setting `database.url` spells it."""
        return postgres.new_beside(self._server) if engine == POSTGRES else ""

    def open(self, engine: str, folder: Path) -> Database:
        """A new, empty database; a file of it would be in `folder`."""
        if engine == POSTGRES:
            return Database.postgres(self.new_url(engine))
        return Database.sqlite(folder / "test.db", durable=False)

    def again(self, database: Database, folder: Path) -> Database:
        """One more process's worth of a database that `open` made."""
        if isinstance(database.dialect, Postgres):
            return Database.postgres(database.dialect.url)
        return Database.sqlite(folder / "test.db", durable=False)

    def close(self) -> None:
        if self._own is not None:
            self._own.close()


class Lazily:
    """The clouds of this test process, one an engine, each started when the first test asks for it."""

    def __init__(self, config: pytest.Config, engines: Engines) -> None:
        self._packages = [word for word in config.getoption("services").split(",") if word]
        self._engines = engines
        self._running: dict[str, RunningCloud] = {}
        self._folders: list[tempfile.TemporaryDirectory[str]] = []

    def get(self, engine: str) -> RunningCloud:
        if engine not in self._running:
            folder = tempfile.TemporaryDirectory(prefix="cumulet-test-")
            self._folders.append(folder)
            url = self._engines.new_url(engine)
            self._running[engine] = RunningCloud(Path(folder.name), self._packages, url)
        return self._running[engine]

    def close(self) -> None:
        for cloud in self._running.values():
            cloud.close()
        for folder in self._folders:
            folder.cleanup()


ENGINES = pytest.StashKey[Engines]()
LAZILY = pytest.StashKey[Lazily]()
