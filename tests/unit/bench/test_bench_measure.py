# SPDX-License-Identifier: Apache-2.0
"""Scenarios against a whole cloud, and what is told of them."""

from __future__ import annotations

import asyncio
import os

import pytest
from bench import logins, report
from bench.client import Client
from bench.measure import Limits, Row, Sample, Subject, measure, percentile
from bench.processes import Memory
from bench.scenarios import ALL

from support.cloud import RunningCloud

FEW = Limits(concurrency=(1, 2), repeats=2, seconds=5, count=3)
SAMPLE = Sample(operations=3, errors=0, rate=150.0, p50=6.66, p99=20.0, cpu=1.25, cpu_by={"control": 1.25}, others=0.1)


@pytest.fixture
def login(cloud: RunningCloud) -> logins.Login:
    user = {"name": "admin", "domain": {"id": "default"}, "password": cloud.admin_password}
    body = {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
    }
    return logins.Login(f"{cloud.control_url}/identity/v3", {"auth": body}, cloud.settings.region, "public")


def run(login: logins.Login, *names: str, limits: Limits = FEW) -> tuple[list[Row], list[Row], list[str]]:
    """The rows, those that were told on the way, and what could not be removed."""

    async def work() -> tuple[list[Row], list[Row], list[str]]:
        told: list[Row] = []
        async with Client(login) as client:
            subject = Subject("here", client, {os.getpid(): "test"})
            rows = await measure([subject], names, limits, told.append)
            return rows, told, await subject.stock.clear()

    return asyncio.run(work())


def test_every_run_of_every_concurrency_is_kept(login: logins.Login) -> None:
    rows, told, left = run(login, "token-validate")
    assert rows == told
    assert left == []
    assert [(row.title, row.concurrency, len(row.samples)) for row in rows] == [
        ("token-validate", 1, 2),
        ("token-validate", 2, 2),
    ]
    for row in rows:
        assert [sample.operations for sample in row.samples] == [3, 3]
        assert row.errors == 0
        assert row.median("p50") is not None


def test_lists_of_many_are_checked_and_nothing_is_left(login: logins.Login) -> None:
    rows, _, left = run(login, "candidates-100")
    assert [row.failed or row.not_served for row in rows] == ["", ""]
    assert left == []

    async def providers() -> bytes:
        async with Client(login) as client:
            return await client.send("GET", "placement", "/resource_providers")

    assert b"bench-" not in asyncio.run(providers())


def test_moments_are_rows_of_their_own_and_the_last_has_the_cpu(login: logins.Login) -> None:
    rows, _, left = run(login, "volume-create")
    assert left == []
    assert [row.title for row in rows[:2]] == ["volume-create: POST", "volume-create: available"]
    for posted, available in zip(rows[::2], rows[1::2], strict=True):
        assert (posted.failed, available.failed) == ("", "")
        assert posted.median("cpu") is None
        assert available.median("cpu") is not None
        assert (posted.median("p50") or 0) <= (available.median("p50") or 0)


def test_volumes_and_snapshots_go_through_their_lives_and_leave_nothing(login: logins.Login) -> None:
    names = [name for name in ALL if name.startswith(("volume-", "snapshot-"))]
    rows, _, left = run(login, *names, limits=Limits(concurrency=(2,), repeats=1, seconds=5, count=2))
    assert left == []
    assert {row.scenario for row in rows} == set(names) >= {"volume-clone", "volume-attach", "snapshot-delete"}
    assert [row.title for row in rows if row.failed or row.not_served or row.errors] == []

    async def names_left() -> list[str]:
        async with Client(login) as client:
            found = [*(await client.ask("GET", "volume", "/volumes"))["volumes"]]
            found += (await client.ask("GET", "volume", "/snapshots"))["snapshots"]
            return [each["name"] for each in found]

    assert asyncio.run(names_left()) == []


def test_what_is_not_served_is_told_once(login: logins.Login) -> None:
    nowhere = logins.Login(login.url, login.request, "Elsewhere", "public")
    rows, _, _ = run(nowhere, "image-list")
    assert [(row.title, row.not_served) for row in rows] == [("image-list", "image is not in the catalogue")]
    text = report.page(rows, FEW, "here", "A note.")
    assert "| image-list | 1 | not served |" in text
    assert "- here, image-list: not served (image is not in the catalogue)" in text


def test_percentiles_lie_between_neighbours() -> None:
    assert percentile([3.0, 1.0, 2.0], 50) == 2.0
    assert percentile([1.0, 2.0], 50) == 1.5
    assert percentile([7.0], 99) == 7.0
    assert percentile([float(number) for number in range(101)], 99) == 99.0


def test_two_clouds_stand_side_by_side() -> None:
    ours = [Row("ours", "token-issue", "token-issue", 1, [SAMPLE]), Row("ours", "image-list", "image-list", 1)]
    ours[1].failed = "GET image /images: 500"
    theirs = [
        Row("theirs", "token-issue", "token-issue", 1, [Sample(3, 0, 10.0, 66.6, 99.0, 10.0, {}, 0.1)]),
        Row("theirs", "image-list", "image-list", 1, [SAMPLE]),
    ]
    held = {"ours": Memory(3, 211.4), "theirs": Memory(56, 3635.0)}
    text = report.page([*ours, *theirs], FEW, "ours", "A note.", held)
    assert "| ours | 3 | 211 |\n| theirs | 56 | 3635 |" in text
    assert "| token-issue | 1 | 150 | 6.66 | 20.0 | 1.25 | 0 | 0.10 |" in text
    assert "| token-issue | 1 | 6.66 | 66.6 | 10.0 | 1.25 | 10.0 | 8.0 |" in text
    assert "| image-list | 1 | failed | 6.66 |  | failed | 1.25 |  |" in text
    assert "- ours, image-list: failed (GET image /images: 500)" in text


def test_all_scenarios_say_what_they_do() -> None:
    assert all(kind.summary() for kind in ALL.values())
    assert len(ALL) == 39
    assert sum(kind.usual for kind in ALL.values()) == 17
