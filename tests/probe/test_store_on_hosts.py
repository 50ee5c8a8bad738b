# SPDX-License-Identifier: Apache-2.0
"""An object store that grows from one host to three: rings and secret are brought. Then one is
cut off, and distributions are killed; clocks are apart."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support.store_hosts import DEVICE_PORT, StoreHost, StoreHosts
from support.waiting import until

SMALL, LARGE = os.urandom(1000), os.urandom(300_000)  # in a row of the catalogue, and in a file

NOTICED = 8.0  # seconds after which nobody waits for a lost host any more, on a busy machine

NAMES = "first\nlarge\nsmall\n"


pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces"),
]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoreHosts]:
    """The first host has a store of its own at first, with an object, and grows to three."""
    made = StoreHosts(tmp_path_factory.mktemp("hosts"))
    try:
        made.up()
        made.a.start("objects")
        made.b.start("objects")
        made.c.start("objects")
        grow(made)
        yield made
    finally:
        made.down()


def grow(store: StoreHosts) -> None:
    """Have a replica of everything on each host."""
    a, b, c = store.hosts
    token, account = a.token()
    assert a.ask("PUT", f"{account}/box", token).status_code == 201
    assert a.ask("PUT", f"{account}/box/first", token, content=LARGE).status_code == 201
    for each in (b, c):
        assert each.ask("GET", "/info").status_code == 503  # no secret of its own, and no rings

    said = store.spread()
    for each in (b, c):
        assert f"{each.address}:{DEVICE_PORT}: " in said
        # The token is good here, too: there is one secret.
        assert each.ask("GET", f"{account}/box/first", token).content == LARGE


@pytest.mark.timeout(240)
def test_a_host_is_cut_off(store: StoreHosts) -> None:
    a, b, c = store.hosts
    token, account = a.token()
    assert a.ask("PUT", f"{account}/box/small", token, content=SMALL).status_code == 201
    assert b.ask("PUT", f"{account}/box/large", token, content=LARGE).status_code == 201
    for each in store.hosts:
        assert each.ask("GET", f"{account}/box/small", token).content == SMALL
        assert each.ask("GET", f"{account}/box/large", token).content == LARGE
        # A new device has all names when the index has been copied there.
        until(lambda each=each: each.ask("GET", f"{account}/box", token).text == NAMES, seconds=60)

    assert a.ask("PUT", f"{account}/limbo", token).status_code == 201
    assert a.ask("PUT", f"{account}/limbo/small", token, content=SMALL).status_code == 201
    with store.without(c), ThreadPoolExecutor(1) as beside:
        brought = beside.submit(a.ring, "distribute", a.builder("object"))
        begun = time.monotonic()
        assert a.ask("HEAD", f"{account}/box", token, headers={"x-newest": "true"}).status_code == 204  # asks all hosts
        assert time.monotonic() - begun < NOTICED
        assert a.ask("PUT", f"{account}/box/while", token, content=LARGE).status_code == 201
        assert b.ask("DELETE", f"{account}/box/first", token).status_code == 204
        assert b.ask("GET", f"{account}/box/while", token).content == LARGE
        refuses(c, token, account)
        # What it has it gives.
        assert c.ask("GET", f"{account}/box/small", token).content == SMALL
        assert c.ask("GET", f"{account}/box/large", token).content == LARGE
        assert c.ask("GET", f"{account}/box", token).text == NAMES
        status, said = brought.result(60)
        assert status == 1
        assert f"{b.address}:{DEVICE_PORT}: the same already\n" in said
        assert f"{c.address}:{DEVICE_PORT}: it cannot be reached" in said

    until(store.alike, seconds=90)
    assert c.ask("GET", f"{account}/box/while", token).content == LARGE
    assert c.ask("GET", f"{account}/box/first", token).status_code == 404
    for each in store.hosts:
        until(lambda each=each: each.ask("GET", f"{account}/box", token).text == "large\nsmall\nwhile\n", seconds=60)


def refuses(alone: StoreHost, token: str, account: str) -> None:
    """With one replica of everything nothing is acknowledged or denied. What it refuses may yet come true."""
    box, limbo = f"{account}/box", f"{account}/limbo"
    for method, path in (
        ("PUT", f"{limbo}/other"),
        ("DELETE", f"{limbo}/small"),
        ("POST", f"{limbo}/small"),
        ("PUT", f"{account}/other"),
        ("POST", limbo),
        ("DELETE", limbo),
        ("GET", f"{box}/absent"),
        ("GET", f"{account}/absent"),
    ):
        assert alone.ask(method, path, token).status_code == 503, (method, path)


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("who", "place"),
    [("courier", "ring_courier.others"), ("courier", "ring_file.written"), ("taker", "ring_file.written")],
    ids=["before-its-own", "while-it-writes", "while-another-writes"],
)
def test_a_distribution_is_killed(store: StoreHosts, who: str, place: str) -> None:
    """Each host has the old ring or the new one, whole; a distribution after it completes it."""
    a, _, c = store.hosts
    builder = a.builder("object")
    weight = str(50 + len(place) + len(who))
    a.plan("set-weight", builder, "3", weight)
    a.plan("rebalance", builder, "--seed", "1")
    new, old = Path(builder).with_name("object.ring.gz").read_bytes(), a.ring_file("object")
    assert new != old
    if who == "courier":
        a.ring_dies(place, "distribute", builder)
        expected = [old, new, new]
    else:
        c.wishes.write_text(f"{place}\n")
        status, said = store.distribute()
        assert status == 1
        assert f"{c.address}:{DEVICE_PORT}: " in said
        c.died("objects")
        expected = [new, new, old]
    assert [each.ring_file("object") for each in store.hosts] == expected
    if who == "taker":
        c.start("objects")
    until(lambda: store.distribute()[0] == 0, seconds=30)
    assert [each.ring_file("object") for each in store.hosts] == [new, new, new]
    token, account = a.token()
    assert c.ask("GET", account, token).status_code in (200, 204)
