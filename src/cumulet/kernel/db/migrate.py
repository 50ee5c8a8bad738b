# SPDX-License-Identifier: Apache-2.0
"""Schema changes: numbered SQL scripts of each service, applied forward only, each in a transaction of its own.

A script is `migrations/NNNN_<phase>_name.sql`: statements that end with a semicolon at a line's end, with types as
SQLite spells them (`Dialect.spelt`). One that engines do not share names its own: `NNNN_<phase>_name.postgres.sql`. A
new database runs the same scripts; no table is ever created from its definition in Python, which tests hold against
the scripts.

The phase is `expand` or `contract` (`docs/develop/migrations.md`); the first script of a service needs none. An
expanded schema serves the release before as well, so it is made at a start; a contracted one does not, so it is made
by `cumulet migrate --contract` alone.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Index, MetaData, inspect, select
from sqlalchemy.schema import CreateIndex, CreateTable

from cumulet.kernel import clock
from cumulet.kernel.db import sql, tables
from cumulet.kernel.db.database import Database
from cumulet.kernel.db.tx import Tx

KERNEL = "kernel"
KERNEL_FOLDER = Path(__file__).parent / "migrations"
EXPAND, CONTRACT = "expand", "contract"
FIRST = 1  # the number of the script that needs no phase
_FILE = re.compile(r"((\d{4})_(?:(expand|contract)_)?\w+)(?:\.(sqlite|postgres))?\.sql")


class Script(NamedTuple):
    """A script of this release; `name` is without the engine."""

    service: str
    number: int
    phase: str
    name: str
    path: Path

    def __str__(self) -> str:
        return f"{self.service}/{self.name}.sql"


def migrate(db: Database, folders: Mapping[str, Path], *, contract: bool = False) -> list[str]:
    """Bring the schema up to date; `folders`: service name to its `migrations` folder. Returns what was applied.

    Without `contract` such scripts are left to whoever asks for them, except in a new database, which no other release
    ever served. Raises RuntimeError where a newer release has contracted the schema.
    """
    db.dialect.check()
    applied = []
    with db.alone("kernel:migrate"):
        for script in left(db, folders, contract=contract):
            db.write(lambda tx, script=script: _apply(tx, script, db.dialect.spelt))  # type: ignore[misc]
            applied.append(str(script))
    return applied


def left(db: Database, folders: Mapping[str, Path], *, contract: bool) -> list[Script]:
    """The scripts that `migrate` would run now, in order; raises what it would raise."""
    found, applied = [], _applied(db)
    for service, folder in {KERNEL: KERNEL_FOLDER, **folders}.items():
        have = applied.get(service, {})
        scripts = list(_scripts(service, folder, db.dialect.name))
        _check_known(service, have, {script.number for script in scripts})
        contracts = contract or not have
        found += [each for each in scripts if each.number not in have and (contracts or each.phase == EXPAND)]
    return found


def pending(db: Database, folders: Mapping[str, Path]) -> bool:
    """Whether a script that a start runs has not run yet."""
    return bool(left(db, folders, contract=False))


def draft(metadata: MetaData) -> str:
    """The script that creates all of `metadata`'s tables and indexes.

    An index that is for some rows only says so in its `info`, as `where`: SQLAlchemy's own way of saying it is another
    for each dialect, and would have every start load them all.
    """
    compiler = importlib.import_module("sqlalchemy.dialects.sqlite").dialect()  # a start may need another one alone
    statements = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=compiler)).strip())
        statements.extend(
            str(CreateIndex(index).compile(dialect=compiler)).strip() + _where(index)
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        )
    return "".join(re.sub(r"[ \t]+\n", "\n", statement) + ";\n\n" for statement in statements).rstrip() + "\n"


def _where(index: Index) -> str:
    return f" WHERE {index.info['where']}" if "where" in index.info else ""


def _check_known(service: str, have: Mapping[int, str], known: set[int]) -> None:
    """An unknown script that only expanded the schema is no matter: this release runs on what it left."""
    for number, name in sorted(have.items()):
        if number not in known and _phase(name) == CONTRACT:
            raise RuntimeError(
                f"a newer release has contracted the {service} schema ({name}): start that release, or restore a backup"
            )


def _phase(name: str) -> str:
    match = _FILE.fullmatch(f"{name}.sql")
    return EXPAND if match is None else match[3] or EXPAND


def _applied(db: Database) -> dict[str, dict[int, str]]:
    """The numbers and names of the scripts that have run, by service."""
    with db._use() as connection:
        if not inspect(connection).has_table(tables.migration.name):
            return {}
    migration = tables.migration.c
    found: dict[str, dict[int, str]] = {}
    for service, number, name in sql.tuples(db, select(migration.service, migration.number, migration.name)):
        found.setdefault(service, {})[number] = name
    return found


def _scripts(service: str, folder: Path, dialect: str) -> Iterator[Script]:
    for path in sorted(folder.glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None or not (match[3] or int(match[2]) == FIRST):
            raise ValueError(f"not a migration's name (NNNN_expand_words.sql, NNNN_contract_words.sql): {path}")
        if match[4] in (None, dialect):
            yield Script(service, int(match[2]), match[3] or EXPAND, match[1], path)


def _apply(tx: Tx, script: Script, spelt: Callable[[str], str]) -> None:
    connection = tx._connection()
    for statement in _statements(spelt(script.path.read_text())):
        connection.exec_driver_sql(statement)
    row = {"service": script.service, "number": script.number, "name": script.name, "applied_at": clock.now()}
    connection.execute(tables.migration.insert().values(row))


def _statements(script: str) -> Iterable[str]:
    return (part.strip() for part in re.split(r";[ \t]*\n", script + "\n") if part.strip())
