# SPDX-License-Identifier: Apache-2.0
"""Schema changes: numbered SQL scripts of each service, applied forward only, each in a transaction of its own.

A script is `migrations/<dialect>/NNNN_name.sql`: statements that end with a semicolon at a line's end. A new database
runs the same scripts; no table is ever created from its definition in Python, which tests hold against the scripts.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sqlalchemy import MetaData, inspect, select
from sqlalchemy.schema import CreateIndex, CreateTable

from cumulet.kernel import clock
from cumulet.kernel.db import sql, tables
from cumulet.kernel.db.database import Database
from cumulet.kernel.db.tx import Tx

KERNEL = "kernel"
KERNEL_FOLDER = Path(__file__).parent / "migrations"
_FILE = re.compile(r"(\d{4})_(\w+)\.sql")
# SQLAlchemy's module of each dialect, loaded only to draft a script: a start needs no second dialect.
_MODULES = {"sqlite": "sqlalchemy.dialects.sqlite", "postgres": "sqlalchemy.dialects.postgresql"}


def migrate(db: Database, folders: Mapping[str, Path]) -> list[str]:
    """Bring the schema up to date; `folders`: service name to its `migrations` folder. Returns what was applied.

    Raises RuntimeError where the database holds a script that this release does not know (a newer release made it).
    """
    db.dialect.check()
    applied = []
    for service, folder in {KERNEL: KERNEL_FOLDER, **folders}.items():
        have = _applied(db, service)
        scripts = dict(_scripts(folder, db.dialect.name))
        if unknown := have - scripts.keys():
            raise RuntimeError(f"the database's {service} schema is newer than this release: {sorted(unknown)}")
        for number in sorted(scripts.keys() - have):
            db.write(lambda tx, path=scripts[number], n=number, s=service: _apply(tx, s, n, path))  # type: ignore[misc]
            applied.append(f"{service}/{scripts[number].name}")
    return applied


def pending(db: Database, folders: Mapping[str, Path]) -> bool:
    """Whether a script of this release has not run yet."""
    return any(
        dict(_scripts(folder, db.dialect.name)).keys() - _applied(db, service)
        for service, folder in {KERNEL: KERNEL_FOLDER, **folders}.items()
    )


def draft(metadata: MetaData, dialect: str) -> str:
    """The script that creates all of `metadata`'s tables and indexes under `dialect` (`sqlite`, `postgres`)."""
    compiler = importlib.import_module(_MODULES[dialect]).dialect()
    statements = []
    for table in metadata.sorted_tables:
        statements.append(str(CreateTable(table).compile(dialect=compiler)).strip())
        statements.extend(
            str(CreateIndex(index).compile(dialect=compiler)).strip()
            for index in sorted(table.indexes, key=lambda index: str(index.name))
        )
    return "".join(re.sub(r"[ \t]+\n", "\n", statement) + ";\n\n" for statement in statements).rstrip() + "\n"


def _applied(db: Database, service: str) -> set[int]:
    with db._use() as connection:
        if not inspect(connection).has_table(tables.migration.name):
            return set()
    query = select(tables.migration.c.number).where(tables.migration.c.service == service)
    return set(sql.column(db, query))


def _scripts(folder: Path, dialect: str) -> Iterator[tuple[int, Path]]:
    for path in sorted((folder / dialect).glob("*.sql")):
        match = _FILE.fullmatch(path.name)
        if match is None:
            raise ValueError(f"not a migration's name: {path}")
        yield int(match[1]), path


def _apply(tx: Tx, service: str, number: int, path: Path) -> None:
    connection = tx._connection()
    for statement in _statements(path.read_text()):
        connection.exec_driver_sql(statement)
    connection.execute(
        tables.migration.insert().values(service=service, number=number, name=path.stem, applied_at=clock.now())
    )


def _statements(script: str) -> Iterable[str]:
    return (part.strip() for part in re.split(r";[ \t]*\n", script + "\n") if part.strip())
