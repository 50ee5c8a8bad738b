# SPDX-License-Identifier: Apache-2.0
"""Containers that are sent to other ones, of another cluster and of the same."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest

from cumulet.services.object_store.drivers.web import Web
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.engine.jobs.watching import Watch
from cumulet.services.object_store.engine.sharding.names import is_shard
from cumulet.services.object_store.engine.sharding.plans import Sizes
from cumulet.services.object_store.logic import sync_sending
from cumulet.services.object_store.logic.sync_sending import WATCHED, Sync, Syncer
from support.object_store import ACCOUNT, OTHERS
from unit.object_store.feature_stores import store

KEY = {"x-container-sync-key": "user-key"}
LARGE = bytes(range(256)) * 800


@pytest.fixture(scope="module")
def there():
    with store(container_sync={"realms": {"us": {"key": "realm-key"}}}) as found:
        yield found


@pytest.fixture(scope="module")
def here(there):
    realms = {
        "us": {"key": "realm-key", "cluster_there": f"{there.url}/v1/", "cluster_nowhere": "http://127.0.0.1:1/v1"}
    }
    options = {"realms": realms, "allowed_sync_hosts": "127.0.0.1, elsewhere.example"}
    with store(container_sync=options, gatekeeper={"shunt_inbound_x_timestamp": False}) as found:
        realms["us"]["cluster_here"] = f"{found.url}/v1"
        found.sync = Sync.of(options)
        yield found


@pytest.fixture(autouse=True)
def nothing_is_sent_any_more(here):
    yield
    for client in (here.client(), here.client("other", OTHERS)):
        for name in client.get("").text.split():
            client.post(f"/{name}", headers={"x-remove-container-sync-to": "x"})


def syncer(found, web=None):
    watch = Watch({WATCHED: sync_sending.wanted})
    return Syncer(found.engine.places, watch, found.engine, found.sync, web)


def sync(found, web=None):
    return found.run(syncer(found, web).run)


def pair(here, there, name):
    """A container here that is sent to the one there of the same name; clients of both."""
    mine, theirs = here.client(), there.client()
    assert theirs.put(f"/{name}", headers=KEY).status_code == 201
    to = {"x-container-sync-to": f"//US/there/{ACCOUNT}/{name}", **KEY}
    assert mine.put(f"/{name}", headers=to).status_code == 201
    return mine, theirs


def names(client, container):
    return client.get(f"/{container}").text.split()


def test_objects_come_with_all_that_is_said_of_them(here, there):
    mine, theirs = pair(here, there, "all")
    said = {"x-object-meta-colour": "green", "content-type": "text/x-own", "content-encoding": "odd"}
    mine.put("/all/a%20b/%C3%BC", content=b"small", headers={**said, "x-delete-at": "4000000000"})
    mine.put("/all/large", content=LARGE)
    mine.put("/all/gone", content=b"")
    assert mine.delete("/all/gone").status_code == 204
    assert sync(here) == 3
    for name in ("a%20b/%C3%BC", "large"):
        ours, copy = mine.get(f"/all/{name}"), theirs.get(f"/all/{name}")
        assert (copy.status_code, copy.content) == (200, ours.content)
        for header in (*said, "x-delete-at", "etag", "x-timestamp"):
            assert copy.headers.get(header) == ours.headers.get(header)
    assert theirs.get("/all/gone").status_code == 404
    mine.post("/all/large", headers={"x-object-meta-colour": "blue"})
    mine.delete("/all/a%20b/%C3%BC")
    sync(here)
    assert names(theirs, "all") == ["large"]
    assert theirs.head("/all/large").headers["x-object-meta-colour"] == "blue"


def test_each_replica_sends_its_share_once_and_looks_after_the_others(here, there):
    mine, theirs = pair(here, there, "shares")
    for number in range(20):
        mine.put(f"/shares/{number}", content=b"body")
    asked = Counted()
    assert sync(here, asked) == 20
    assert asked.methods == {"HEAD": 20, "PUT": 20}
    asked = Counted()
    sync(here, asked)
    assert asked.methods == {"HEAD": 40}
    assert sync(here) == 0
    assert len(names(theirs, "shares")) == 20


def test_manifests_and_links_are_what_they_were_there_too(here, there):
    mine, theirs = pair(here, there, "joined")
    for client in (mine, theirs):
        client.put("/parts")
        client.put("/parts/p1", content=b"first-")
        client.put("/parts/p2", content=b"second")
    manifest = json.dumps([{"path": "/parts/p1"}, {"path": "/parts/p2", "range": "0-2"}])
    mine.put("/joined/large?multipart-manifest=put", content=manifest)
    mine.put("/joined/soft", headers={"x-symlink-target": "parts/p1"}, content=b"")
    pin = mine.head("/parts/p2").headers["etag"]
    mine.put("/joined/hard", headers={"x-symlink-target": "parts/p2", "x-symlink-target-etag": pin}, content=b"")
    mine.put("/joined/dynamic", headers={"x-object-manifest": "parts/p"}, content=b"")
    sync(here)
    bodies = {"large": "first-sec", "soft": "first-", "hard": "second", "dynamic": "first-second"}
    assert {name: theirs.get(f"/joined/{name}").text for name in bodies} == bodies
    for name in ("large", "hard"):
        listed = [client.get("/joined?format=json").json() for client in (mine, theirs)]
        ours, copy = ([each for each in entries if each["name"] == name] for entries in listed)
        assert ours == copy
    assert theirs.head("/joined/large").headers["etag"] == mine.head("/joined/large").headers["etag"]


@pytest.mark.parametrize("body", [b"{}", b"[1]", b'[{"name": "/a/b"}]', b"no"])
def test_what_is_sent_for_a_manifest_and_is_none(there, body):
    from unit.object_store.test_object_sync import sync_realms

    there.client().put("/odd", headers=KEY)
    path = f"/v1/{ACCOUNT}/odd/o"
    signature = sync_realms.sign("PUT", path, "1000.00000", "nonce", "realm-key", "user-key")
    headers = {
        "x-container-sync-auth": f"US nonce {signature}", "x-timestamp": "1000.00000", "x-static-large-object": "true",
    }  # fmt: skip
    assert there.client("").put("/odd/o", headers=headers, content=body).status_code == 400


@pytest.mark.parametrize("form", ["key", "realm"])
def test_two_containers_of_one_cluster(here, form):
    """As Tempest's test_container_sync and test_container_sync_middleware have it."""
    address = {"key": f"{here.url}/v1/{{}}", "realm": "//us/here/{}"}[form]
    one, other = here.client(), here.client("other", OTHERS)
    left, right = f"{ACCOUNT}/left-{form}", f"{OTHERS}/right-{form}"
    for client, own, to in ((one, left, right), (other, right, left)):
        name = own.partition("/")[2]
        assert client.put(f"/{name}", headers={"x-container-sync-to": address.format(to), **KEY}).status_code == 201
        client.put(f"/{name}/of-{name}", content=name.encode())
    sync(here)
    sync(here)
    lists = [
        client.get(f"/{name}?format=json").json() for client, name in ((one, f"left-{form}"), (other, f"right-{form}"))
    ]
    assert lists[0] == lists[1]
    assert one.get(f"/left-{form}/of-right-{form}").text == f"right-{form}"
    one.delete(f"/left-{form}/of-left-{form}")
    sync(here)
    assert names(other, f"right-{form}") == [f"of-right-{form}"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"x-container-sync-key": "user-key", "x-timestamp": "1000.00000"}, 201),
        ({"x-container-sync-key": "user-key"}, 401),
        ({"x-container-sync-key": "other", "x-timestamp": "1000.00000"}, 401),
        ({"x-container-sync-key": "", "x-timestamp": "1000.00000"}, 401),
        ({"x-container-sync-key": "user-key", "x-timestamp": "soon"}, 400),
    ],
    ids=["key", "no-time", "wrong", "empty", "no-number"],
)
def test_who_comes_with_the_key_alone(here, headers, status):
    here.client().put("/keyed", headers=KEY)
    here.client().put("/keyless")
    asked = here.client("")
    assert asked.put("/keyed/o", content=b"", headers=headers).status_code == status
    if status == 201:
        assert asked.put("/keyless/o", content=b"", headers=headers).status_code == 401
        assert asked.get("/keyed/o", headers=headers).status_code == 401
        assert asked.delete("/keyed", headers=headers).status_code == 401


def test_where_times_are_not_believed_a_key_alone_is_nothing(there):
    there.client().put("/keyed", headers=KEY)
    asked = there.client("").put("/keyed/o", content=b"", headers={**KEY, "x-timestamp": "1000.00000"})
    assert asked.status_code == 401


@pytest.mark.parametrize(
    ("to", "words"),
    [
        ("//us/there/account", "Invalid X-Container-Sync-To format '//us/there/account'"),
        ("//them/there/a/c", "No realm key for 'them'"),
        ("//us/where/a/c", "No cluster endpoint for 'us' 'where'"),
        ("ftp://127.0.0.1/v1/a/c", "Invalid scheme 'ftp' in X-Container-Sync-To"),
        ("file:///etc/passwd", "Invalid scheme 'file'"),
        ("http://127.0.0.1", "Path required in X-Container-Sync-To"),
        ("http://127.0.0.1/v1/a/c?x=1", "Params, queries, and fragments not allowed in X-Container-Sync-To"),
        ("http://127.0.0.1/v1/a;b", "Params, queries, and fragments not allowed"),
        ("http://169.254.169.254/v1/a/c", "Invalid host '169.254.169.254' in X-Container-Sync-To"),
        ("http://127.0.0.1@evil.example/v1/a/c", "Invalid host 'evil.example'"),
        ("http://127.0.0.1:port/v1/a/c", "Invalid X-Container-Sync-To format"),
        ("http://[::1/v1/a/c", "Invalid X-Container-Sync-To format"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_where_nothing_is_sent(here, method, to, words):
    client = here.client()
    client.put("/refused")
    answer = client.request(method, "/refused", headers={"x-container-sync-to": to})
    assert (answer.status_code, words in answer.text) == (400, True)
    assert "x-container-sync-to" not in client.head("/refused").headers


def test_who_may_not_change_the_container_learns_nothing_of_realms(here):
    here.client().put("/guarded")
    answer = here.client("reader").post("/guarded", headers={"x-container-sync-to": "//them/there/a/c"})
    assert (answer.status_code, "realm" in answer.text.lower()) == (403, False)


def test_full_addresses_where_only_realms_are_allowed():
    with store(container_sync={"allow_full_urls": False, "allowed_sync_hosts": ["127.0.0.1"]}) as found:
        answer = found.client().put("/c", headers={"x-container-sync-to": "http://127.0.0.1/v1/a/c"})
        assert (answer.status_code, "Full URLs are not allowed" in answer.text) == (400, True)


def test_by_itself_no_host_is_allowed():
    with store() as found:
        answer = found.client().put("/c", headers={"x-container-sync-to": "http://127.0.0.1/v1/a/c"})
        assert (answer.status_code, "Invalid host" in answer.text) == (400, True)


def test_a_container_with_versions(here):
    client = here.client()
    client.put("/versions", headers={"x-versions-enabled": "true"})
    answer = client.post("/versions", headers={"x-container-sync-to": "//us/there/a/c"})
    assert (answer.status_code, "object versioning" in answer.text) == (400, True)


def test_a_container_that_is_sharded(here, there):
    mine, theirs = pair(here, there, "sharded")
    upkeep = here.run(partial(made, here))
    for number in range(12):
        mine.put(f"/sharded/{number:02}", content=b"body")
    sync(here)
    here.run(partial(split, upkeep))
    shards = [key for node in here.engine.places.local() for key in here.run(partial(shards_of, node))]
    assert shards
    for number in range(12, 16):
        mine.put(f"/sharded/{number:02}", content=b"body")
    mine.delete("/sharded/03")
    sync(here)
    sync(here)
    assert names(theirs, "sharded") == names(mine, "sharded")
    assert len(names(theirs, "sharded")) == 15


async def made(here):
    return Upkeep(here.engine, Pace(sizes=Sizes(threshold=6, rows_per_shard=3, minimum=1, auto=True)))


async def split(upkeep):
    for _ in range(8):
        for job in (upkeep.updater, upkeep.sharder, upkeep.index_replicator):
            await job.run()


async def shards_of(node):
    return [each.key for each in await node.indexes.changed(0) if is_shard(each.key)]


def test_a_cluster_that_is_not_there_gets_all_when_it_is(here, there, caplog):
    mine, theirs = here.client(), there.client()
    mine.put("/late", headers={"x-container-sync-to": f"//us/nowhere/{ACCOUNT}/late", **KEY})
    mine.put("/late/1", content=b"1")
    mine.put("/late/2", content=b"2")
    mine.delete("/late/2")
    assert sync(here) == 0
    assert ("late" in caplog.text, "user-key" in caplog.text, "realm-key" in caplog.text) == (True, False, False)
    # Refused there: no key, then a wrong one; what was refused is sent when it is right.
    theirs.put("/late", headers={"x-container-sync-key": "another"})
    mine.post("/late", headers={"x-container-sync-to": f"//us/there/{ACCOUNT}/late"})
    assert sync(here) == 0
    theirs.post("/late", headers=KEY)
    assert sync(here) > 0
    assert names(theirs, "late") == ["1"]


def test_another_target_gets_all(here, there):
    mine, theirs = pair(here, there, "moved")
    mine.put("/moved/o", content=b"body")
    sync(here)
    theirs.put("/elsewhere", headers=KEY)
    mine.post("/moved", headers={"x-container-sync-to": f"//us/there/{ACCOUNT}/elsewhere"})
    sync(here)
    assert names(theirs, "elsewhere") == ["o"]
    theirs.delete("/moved/o")
    mine.post("/moved", headers={"x-container-sync-to": f"//us/there/{ACCOUNT}/moved"})
    sync(here)
    assert theirs.get("/moved/o").status_code == 404, "it was deleted later than it was put"


def test_an_end_at_any_request_loses_nothing(here, there):
    mine, theirs = pair(here, there, "kills")
    for number in range(3):
        mine.put(f"/kills/{number}", content=b"body")
        mine.put(f"/kills/gone-{number}", content=b"body")
        theirs.put(f"/kills/gone-{number}", content=b"body", headers={"x-timestamp": "1"})
        mine.delete(f"/kills/gone-{number}")
    for left in range(12):
        here.run(partial(killed, here, Killing(left)))
    sync(here)
    assert names(theirs, "kills") == ["0", "1", "2"]


async def killed(here, web):
    web.task = asyncio.ensure_future(syncer(here, web).run())
    await asyncio.gather(web.task, return_exceptions=True)


def test_the_time_of_a_container_ends_between_objects(here, there):
    mine, theirs = pair(here, there, "slow")
    for number in range(9):
        mine.put(f"/slow/{number}", content=b"body")
    here.sync, before = Sync(realms=here.sync.realms, container_time=1e-9, sync_row_concurrency=1), here.sync
    try:
        assert sync(here) == 0
        here.sync = Sync(realms=before.realms, sync_row_concurrency=1)
        sync(here)
    finally:
        here.sync = before
    assert len(names(theirs, "slow")) == 9


class Counted(Web):
    def __init__(self):
        super().__init__()
        self.methods = {}

    async def ask(self, method, *args, **more):
        self.methods[method] = self.methods.get(method, 0) + 1
        return await super().ask(method, *args, **more)


class Killing(Web):
    """The process ends at the request behind `left` others, before or after it is answered."""

    def __init__(self, left):
        super().__init__()
        self.left = left

    async def ask(self, method, *args, **more):
        self.left -= 1
        if self.left < 0:
            if self.left % 2:
                await super().ask(method, *args, **more)
            self.task.cancel()
            await asyncio.sleep(0)
        return await super().ask(method, *args, **more)
