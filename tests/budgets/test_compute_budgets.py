# SPDX-License-Identifier: Apache-2.0
"""What servers may cost: CPU of all processes of the cloud, and the statements that the database is asked.

The bounds of CPU are a few times what a quiet machine of 2026 needs, and grow with what the machine is slower; the
number of statements is the same on any machine, but for those that only time decides (a scan that came in between).
"""

from __future__ import annotations

import asyncio
import re

import pytest
from bench import logins, own_cloud, processes
from bench.client import Client
from bench.measure import Limits, Subject, run_once
from bench.scenarios import ALL
from bench.stock import Stock
from sqlalchemy import Engine, event

from budgets.machine import slowness
from support.cloud import RunningCloud

BUDGETS = {"server-show": 3.0, "server-list": 20.0, "server-create": 90.0}  # ms an operation
LIMITS = Limits(concurrency=(1,), seconds=5.0, count=200)

pytestmark = pytest.mark.timeout(600)


def test_servers_stay_within_their_budgets():
    with own_cloud.OwnCloud() as cloud:
        login, top = logins.read(cloud.clouds, "cumulet"), processes.roots(cloud.state)

        async def measured():
            async with Client(login) as client:
                subject = Subject("own", client, top)
                return {name: await run_once(subject, ALL[name], 1, LIMITS) for name in BUDGETS}

        slow = slowness()
        found = {name: list(samples.values())[-1] for name, samples in asyncio.run(measured()).items()}
        slow = max(slow, slowness())
    for name, sample in found.items():
        assert not sample.errors
        bound = BUDGETS[name] * slow
        assert sample.cpu <= bound, f"{name}: {sample.cpu:.1f} ms of CPU, not {bound:.1f}: {sample.cpu_by}"


OF_SERVERS = re.compile(r"\b(compute|network|placement|image|block_storage)_|kernel_(saga|outbox)")
LIST, SHOW, CREATE = 14, 16, 205  # statements, whatever the number of servers; a creation with two looks at it
LEAST, MORE = 2, 6  # servers that are listed


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    """A cloud on SQLite, and all that it puts to the database about servers."""
    statements = []

    def listen(connection, _record):
        connection.set_trace_callback(lambda text: statements.append(text) if OF_SERVERS.search(text) else None)

    event.listen(Engine, "connect", listen)
    running = RunningCloud(tmp_path_factory.mktemp("asked"))
    yield running, statements
    running.close()
    event.remove(Engine, "connect", listen)


def test_answers_take_as_many_statements_for_many_servers_as_for_few(asked):
    running, statements = asked

    async def count(client, path):
        statements.clear()
        await client.send("GET", "compute", path)
        return len(statements)

    async def measured():
        async with Client(login_of(running)) as client:
            await client.authenticate()
            stock = Stock(client)
            listed = []
            for number in (LEAST, MORE):
                found = await stock.fleet(number)
                await count(client, "/servers/detail")
                listed.append(min([await count(client, "/servers/detail") for _ in range(3)]))
            shown = min([await count(client, f"/servers/{found[0]}") for _ in range(3)])
            created = []
            for number in range(3):  # what is looked at from time to time comes in between
                statements.clear()
                await stock.boot(f"bench-fleet-more-{number}")
                await stock.wait_active("bench-fleet", MORE + 1 + number, every=2.0)
                created.append(len(statements))
            return listed, shown, min(created)

    listed, shown, created = asyncio.run(measured())
    assert listed[0] == listed[1] <= LIST
    assert shown <= SHOW
    assert created <= CREATE


def login_of(running):
    user = {"name": "admin", "domain": {"name": "Default"}, "password": running.admin_password}
    identity = {"methods": ["password"], "password": {"user": user}}
    scope = {"project": {"name": "admin", "domain": {"name": "Default"}}}
    request = {"auth": {"identity": identity, "scope": scope}}
    return logins.Login(f"{running.control_url}/identity/v3", request, "RegionOne", "public")
