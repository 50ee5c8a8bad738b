# SPDX-License-Identifier: Apache-2.0
"""How much the database is asked about volumes: the same on any machine, and for many volumes as for few."""

from __future__ import annotations

import asyncio
import re

import pytest
from bench import logins
from bench.client import Client
from bench.scenarios import ALL, Watch
from bench.stock import Stock
from sqlalchemy import Engine, event

from support.cloud import RunningCloud

OF_VOLUMES = re.compile(r"\bblock_storage_(?!backup|message)|kernel_(saga|outbox)")
LIST, SHOW = 3, 3  # statements
# With two looks at what is on its way; what only time decides (a scan that came in between) may add a few.
CHANGES = {
    "volume-create": 46,
    "volume-clone": 50,
    "snapshot-create": 38,
    "snapshot-delete": 34,
    "volume-delete": 42,
    "volume-attach": 26,
    "volume-detach": 18,
}
LEAST, MORE = 2, 6  # volumes that are listed

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A cloud on SQLite, and all that it puts to the database about volumes."""
    statements = []

    def listen(connection, _record):
        connection.set_trace_callback(lambda text: statements.append(text) if OF_VOLUMES.search(text) else None)

    event.listen(Engine, "connect", listen)
    running = RunningCloud(tmp_path_factory.mktemp("asked"))
    yield running, statements
    running.close()
    event.remove(Engine, "connect", listen)


@pytest.fixture
def login(asked):
    user = {"name": "admin", "domain": {"name": "Default"}, "password": asked[0].admin_password}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": "admin", "domain": {"name": "Default"}}}
    request = {"auth": {"identity": identity, "scope": scope}}
    return logins.Login(f"{asked[0].control_url}/identity/v3", request, "RegionOne", "public")


def test_answers_take_as_many_statements_for_many_volumes_as_for_few(asked, login):
    statements = asked[1]

    async def count(client, path):
        found = []
        for _ in range(3):
            statements.clear()
            await client.send("GET", "volume", path)
            found.append(len(statements))
        return min(found)

    async def measured():
        async with Client(login) as client:
            stock = Stock(client)
            listed = []
            for number in (LEAST, MORE):
                found = await stock.shelf(number)
                listed.append(await count(client, "/volumes/detail"))
            shown = await count(client, f"/volumes/{found[0]}")
            stock.used.add("volume")
            assert await stock.clear() == []
            return listed, shown

    listed, shown = asyncio.run(measured())
    assert listed[0] == listed[1] <= LIST
    assert shown <= SHOW


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_takes_few_statements(asked, login, name):
    statements = asked[1]

    async def measured():
        async with Client(login) as client:
            stock = Stock(client)
            stock.used.add("volume")
            scenario, found = ALL[name](client, stock), []
            await scenario.prepare(3)
            for _ in range(3):
                await asyncio.sleep(0.3)  # what was asked after the last one has ended is not this one's
                statements.clear()
                await scenario.operate(Watch())
                found.append(len(statements))
            await scenario.tidy()
            assert await stock.clear() == []
            return min(found)

    assert asyncio.run(measured()) <= CHANGES[name]
