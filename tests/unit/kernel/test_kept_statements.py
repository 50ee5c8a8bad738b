# SPDX-License-Identifier: Apache-2.0
"""Statements that stores keep: the same rows and errors as those that are made anew, on both databases."""

from __future__ import annotations

from datetime import datetime

import msgspec
import pytest
from sqlalchemy import Boolean, Column, DateTime, Integer, MetaData, String, Table, bindparam, func, select
from sqlalchemy.exc import IntegrityError

from cumulet.kernel.db import direct, sql
from cumulet.kernel.db.sql import Json

TABLE = Table(
    "thing",
    MetaData(),
    Column("name", String(20), primary_key=True),
    Column("words", Json, nullable=False),
    Column("when_made", DateTime),
    Column("is_good", Boolean, nullable=False),
    Column("number", Integer, nullable=False),
)
NOON = datetime(2026, 1, 2, 12, 0, 0, 250)


class Thing(msgspec.Struct):
    name: str
    words: dict[str, int]
    when_made: datetime | None
    is_good: bool
    number: int


THINGS = [Thing("a", {"one": 1}, NOON, True, 1), Thing("b", {}, None, False, 2), Thing("c", {}, NOON, True, 3)]


@pytest.fixture
def db(empty):
    empty.write(lambda tx: TABLE.metadata.create_all(tx._connection()))

    def fill(tx):
        sql.add(tx, TABLE, THINGS[0])
        sql.add(tx, TABLE, *THINGS[1:])

    empty.write(fill)
    return empty


def names(db, **equal):
    return [each.name for each in sql.find_all(db, TABLE, Thing, ("name",), **equal)]


def test_rows_come_back_as_they_were_put(db):
    assert sql.find_all(db, TABLE, Thing, ("number",)) == THINGS
    assert sql.find(db, TABLE, Thing, name="a") == THINGS[0]
    assert sql.find(db, TABLE, Thing, name="z") is None


@pytest.mark.parametrize("count", range(4))
def test_a_list_stands_for_any_of_its_values(db, count):
    wanted = [each.name for each in THINGS[:count]]
    assert names(db, name=wanted) == wanted
    assert db.write(lambda tx: sql.remove(tx, TABLE, name=wanted)) == count
    assert names(db) == ["a", "b", "c"][count:]


def test_nothing_and_truth_are_values_too(db):
    assert names(db, when_made=None) == ["b"]
    assert names(db, when_made=NOON, is_good=True, number=[3, 7]) == ["c"]


def test_a_column_is_set_where_it_had_another_value(db):
    def change(tx):
        assert sql.change(tx, TABLE, {"number": 9, "words": {"two": 2}, "when_made": None}, number=1, is_good=True) == 1
        assert sql.change(tx, TABLE, {"number": 9}, name="z") == 0

    db.write(change)
    assert sql.find(db, TABLE, Thing, number=9) == Thing("a", {"two": 2}, None, True, 9)


def test_what_the_database_refuses_has_the_usual_error_and_undoes_the_function(db):
    def twice(tx):
        sql.change(tx, TABLE, {"number": 7}, name="b")
        sql.add(tx, TABLE, Thing("a", {}, None, True, 5))

    with pytest.raises(IntegrityError):
        db.write(twice)
    assert sql.find_all(db, TABLE, Thing, ("number",)) == THINGS


def test_a_statement_may_hold_values_of_its_own(db):
    joined = func.aggregate_strings(TABLE.c.name, ",")
    query = select(TABLE.c.is_good, joined).where(TABLE.c.number.in_([1, 2, 3]), TABLE.c.number > bindparam("least"))
    found = sql.tuples(db, query.group_by(TABLE.c.is_good), {"least": 1})
    assert {bool(good): each for good, each in found} == {True: "c", False: "b"}
    assert sql.scalar(db, select(func.count()).select_from(TABLE), {}) == 3


def test_sqlite_is_asked_without_sqlalchemy(db, request, monkeypatch):
    asked = []
    usual = direct.query
    monkeypatch.setattr(direct, "query", lambda *words: asked.append(usual(*words)) or asked[-1])
    sql.find_all(db, TABLE, Thing, number=[1, 2])
    assert (asked[0] is not None) == (db.dialect.name == "sqlite")
