# SPDX-License-Identifier: Apache-2.0
"""What operators forbid: names, writes, and too many requests."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from cumulet.services.object_store.api.filters.name_check import FORBIDDEN
from cumulet.services.object_store.logic import rates
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Key
from support.object_store import ACCOUNT
from unit.object_store.feature_stores import store


def say(found, header, value):
    """What only operators say of an account."""
    found.client().put("/c")
    found.run(lambda: found.engine.set_metadata(Key(ACCOUNT), stamps.now(), {header: value}))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/c/a'b", "Object/Container/Account name contains forbidden chars from '\"`<>"),
        ("/c/" + "x" * 300, "Object/Container/Account name longer than the allowed maximum 255"),
        (
            "/c/%2e%2e/o",
            "Object/Container/Account name contains a forbidden substring from regular expression " + FORBIDDEN,
        ),
    ],
    ids=["character", "length", "dots"],
)
def test_names_that_nobody_wants(path, words):
    with store(name_check={}) as found:
        answer = httpx.get(f"{found.url}/v1/a{path}")
        assert (answer.status_code, answer.text) == (400, words)


def test_rules_for_names_are_the_operators():
    with store(name_check={"forbidden_chars": "ü", "forbidden_regexp": "", "maximum_length": 20}) as found:
        client = found.client()
        assert client.put("/c").status_code == 201
        assert client.put("/c/a'").status_code == 201
        assert client.put("/c/ü").status_code == 400
        assert client.put("/" + "c" * 15).status_code == 400
        told = httpx.get(f"{found.url}/info").json()["name_check"]
        assert told == {"forbidden_chars": "ü", "forbidden_regexp": "", "maximum_length": 20}


def test_a_store_that_is_only_read():
    with store(read_only={"read_only": True}) as found:
        client = found.client()
        for method in ("PUT", "POST", "DELETE", "COPY"):
            answer = client.request(method, "/c/o", headers={"destination": "c/p"})
            assert (answer.status_code, answer.text) == (405, "Writes are disabled for this account.")
        assert client.get("").status_code == 204
        assert httpx.get(f"{found.url}/info").json()["read_only"] == {}


def test_an_account_that_is_only_read():
    with store(read_only={"allow_deletes": True}) as found:
        client = found.client()
        client.put("/c")
        client.put("/c/o", content=b"")
        say(found, "x-account-sysmeta-read-only", "yes")
        assert client.put("/c/o", content=b"").status_code == 405
        assert client.delete("/c/o").status_code == 204
        other = found.client("other", "AUTH_two")
        assert other.put("/c").status_code == 201
        answer = other.request("COPY", "/c/o", headers={"destination": "c/o", "destination-account": ACCOUNT})
        assert answer.status_code == 405
        say(found, "x-account-sysmeta-read-only", "no")
        assert client.put("/c/o", content=b"").status_code == 201
        assert "read_only" not in httpx.get(f"{found.url}/info").json()


def test_rates_between_sizes():
    known = rates.steps({"r_100": 10, "r_200": 20, "other": 1}, "r_")
    assert known == ((100, 10.0), (200, 20.0))
    wanted = {0: None, 99: None, 100: 10, 150: 15, 200: 20, 10**6: 20}
    assert {size: rates.rate(known, size) for size in wanted} == wanted


def test_who_comes_too_often_waits():
    waiting = rates.Waiting(longest=2, spare=1)
    assert [waiting.take("a", 2, 100.0) for _ in range(6)] == [0, 0.5, 1.0, 1.5, None, None]
    assert waiting.take("b", 2, 100.0) == 0
    assert waiting.take("a", 2, 101.5) == 0.5
    assert [waiting.take("a", 2, 103.0) for _ in range(3)] == [0, 0, 0.5]  # half a second was not used
    assert [waiting.take("a", 2, 110.0) for _ in range(2)] == [0, 0.5]  # too long ago to make up for


def test_what_rests_is_forgotten():
    waiting = rates.Waiting()
    for number in range(rates.MOST + 2):
        waiting.take(str(number), 1, float(number))
    assert len(waiting._next) < 100


def test_requests_wait_or_are_told_to_slow_down():
    settings = {"account_ratelimit": 50, "max_sleep_time_seconds": 0.1, "rate_buffer_seconds": 0}
    with store(ratelimit=settings) as found:

        async def run():
            async with httpx.AsyncClient(headers={"x-auth-token": "member"}) as client:
                url = f"{found.url}/v1/{ACCOUNT}"
                return await asyncio.gather(*(client.put(f"{url}/c{number}") for number in range(20)))

        answers = asyncio.run(run())
        assert {each.status_code for each in answers} == {201, 498}
        assert {each.text for each in answers if each.status_code == 498} == {"Slow down"}
        told = httpx.get(f"{found.url}/info").json()["ratelimit"]
        assert told == {
            "account_ratelimit": 50.0, "max_sleep_time_seconds": 0.1, "container_ratelimits": [],
            "container_listing_ratelimits": [],
        }  # fmt: skip


def test_rates_of_a_container():
    settings = {"container_ratelimit_1": 10, "container_listing_ratelimit_1": 10, "rate_buffer_seconds": 0}
    with store(ratelimit=settings) as found:
        client = found.client()
        client.put("/c")
        client.put("/c/o", content=b"")
        client.head("/c")
        for method, path in (("GET", "/c"), ("POST", "/c/o")):
            began = time.monotonic()
            for _ in range(3):
                assert client.request(method, path).is_success
            assert time.monotonic() - began > 0.15


def test_words_of_the_operator_on_an_account():
    settings = {"account_ratelimit": 0.0001, "max_sleep_time_seconds": 0.1, "account_blacklist": "AUTH_two"}
    with store(ratelimit=settings) as found:
        say(found, "x-account-sysmeta-global-write-ratelimit", "WHITELIST")
        client = found.client()
        assert [client.put(f"/c{number}").status_code for number in range(3)] == [201] * 3
        answer = found.client("other", "AUTH_two").get("")
        assert (answer.status_code, answer.text) == (497, "Your account has been blacklisted")
        say(found, "x-account-sysmeta-global-write-ratelimit", "0.001")
        assert [client.put("/c/o", content=b"").status_code for _ in range(2)] == [201, 498]
