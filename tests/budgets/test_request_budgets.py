# SPDX-License-Identifier: Apache-2.0
"""What the requests that everyone sends may cost in CPU, all processes of the cloud together.

The bounds are about three times what a quiet machine of 2026 needs, or more where few requests share what a host does
by itself once a minute: a busy machine makes the same work dearer.
"""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
from bench import fill, logins, own_cloud, processes
from bench.client import Client
from bench.measure import Limits, Subject, run_once
from bench.scenarios import ALL

BUDGETS = {  # ms a request
    "token-validate": 1.0,
    "token-by-token": 5.4,  # a fiftieth of what a log-in costs Keystone
    "token-by-credential": 5.4,
    "image-list": 6.0,
    "server-list": 60.0,
    "port-list": 60.0,
    "network-list": 1.2,
    "port-create": 8.0,
    "port-delete": 6.0,
    "ports-1000": 160.0,
    "ports-page": 3.0,
    "volume-list": 8.0,
    "volume-show": 1.8,  # clients look until a volume is there
    "volume-create": 30.0,
    "volume-clone": 33.0,
    "snapshot-create": 30.0,
    "snapshot-delete": 27.0,
    "volume-attach": 8.0,
    "volume-detach": 4.0,
    "candidates-1000": 6.7,  # a fortieth of what it costs Placement
}
LIMITS = Limits(concurrency=(1,), seconds=5.0, count=200)

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="module")
def cloud():
    with own_cloud.OwnCloud() as own:
        yield own


@pytest.mark.parametrize("name", BUDGETS)
def test_a_hot_request_stays_within_its_budget(cloud, name):
    login, top = logins.read(cloud.clouds, "cumulet"), processes.roots(cloud.state)

    async def measured():
        async with Client(login) as client:
            return await run_once(
                Subject("own", client, top, fill=partial(fill.providers, cloud.state)), ALL[name], 1, LIMITS
            )

    sample = list(asyncio.run(measured()).values())[-1]
    assert not sample.errors
    assert sample.cpu <= BUDGETS[name], f"{name}: {sample.cpu:.1f} ms of CPU a request, {sample.cpu_by}"
