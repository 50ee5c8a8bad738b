# SPDX-License-Identifier: Apache-2.0
"""Users of a container see nothing of its shards: by Swift's own client, and by the listings of the API."""

from __future__ import annotations

import pytest
import swiftclient
from swiftclient.exceptions import ClientException

from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.object_store.engine.jobs.upkeep import Pace, Upkeep
from cumulet.services.object_store.engine.sharding.plans import Sizes
from cumulet.services.object_store.logic import sharding
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Key
from support.object_store import ACCOUNT, serving

SIZES = Sizes(auto=False, threshold=10, rows_per_shard=4, minimum=1, shrink_threshold=1, expansion_limit=7)
NAMES = [f"{folder}/{number}" for folder in "abc" for number in range(8)]


@pytest.fixture(scope="module")
def store():
    with serving() as store:
        yield store


@pytest.fixture(scope="module")
def upkeep(store):
    return Upkeep(store.engine, Pace(sizes=SIZES))


@pytest.fixture(scope="module")
def user(store):
    return swiftclient.Connection(preauthurl=f"{store.url}/v1/{ACCOUNT}", preauthtoken="member", retries=0)


@pytest.fixture(scope="module")
def operator(store):
    return swiftclient.Connection(preauthurl=f"{store.url}/v1/{ACCOUNT}", preauthtoken="reseller", retries=0)


def run(store, upkeep, times=4):
    async def work():
        for _ in range(times):
            await upkeep.updater.run()
            await upkeep.sharder.run()
        await upkeep.updater.run()

    store.run(work)


def shown(store, container):
    return store.run(lambda: sharding.show(store.engine, {"account": ACCOUNT, "container": container}))


def fill(user, container):
    user.put_container(container)
    for name in NAMES:
        user.put_object(container, name, b"body", content_type="text/plain")


def test_a_container_is_split_where_a_reseller_says_so(store, upkeep, user, operator):
    fill(user, "box")
    plain = [user.get_container("box", **words)[1] for words in LISTINGS]
    user.post_container("box", {"X-Container-Sharding": "true"})
    run(store, upkeep)
    assert shown(store, "box")["state"] == "unsharded", "users do not decide that"
    assert operator.head_container("box")["x-container-sharding"] == "False"
    operator.post_container("box", {"X-Container-Sharding": "on"})
    assert operator.head_container("box")["x-container-sharding"] == "True"
    assert not any("shard" in name for name in user.head_container("box"))
    run(store, upkeep)
    found = shown(store, "box")
    assert found["state"] == "sharded"
    assert {each["state"] for each in found["ranges"]} == {"active"}
    assert len(found["ranges"]) > 3
    assert [user.get_container("box", **words)[1] for words in LISTINGS] == plain
    head = user.head_container("box")
    assert (head["x-container-object-count"], head["x-container-bytes-used"]) == ("24", "96")


LISTINGS = [
    {},
    {"full_listing": True, "limit": 5},
    {"prefix": "b/"},
    {"delimiter": "/"},
    {"delimiter": "/", "limit": 2},
    {"delimiter": "/", "marker": "a/"},
    {"marker": "a/5", "end_marker": "c/2"},
    {"path": "b"},
    {"prefix": "c/", "delimiter": "/", "query_string": "reverse=true"},
    {"query_string": "reverse=true&limit=9&marker=b/6"},
]


def test_what_is_written_is_listed_at_once(store, upkeep, user):
    user.put_object("box", "b/2x", b"more", content_type="text/plain")
    user.delete_object("box", "b/2")
    user.post_object("box", "b/3", {"Content-Type": "image/png"})
    listed = {each["name"]: each for each in user.get_container("box", prefix="b/")[1]}
    assert "b/2x" in listed
    assert "b/2" not in listed
    assert listed["b/3"]["content_type"] == "image/png"
    run(store, upkeep, 1)
    assert user.head_container("box")["x-container-object-count"] == "24"


def test_nobody_sees_shards_in_lists_of_containers(store, user, operator):
    assert [each["name"] for each in user.get_account()[1]] == ["box"]
    assert user.head_account()["x-account-container-count"] == "1"
    shard = Key(*shown(store, "box")["ranges"][0]["name"].split("/", 1))
    assert store.client(account=shard.account).get(f"/{shard.container}").status_code == 403
    assert store.client("reseller", shard.account).get(f"/{shard.container}").text.split() == NAMES[:4]


def test_shards_grow_small_again_and_the_container_is_deleted(store, upkeep, user):
    with pytest.raises(ClientException) as caught:
        user.delete_container("box")
    assert caught.value.http_status == 409
    names = [each["name"] for each in user.get_container("box")[1]]
    for name in names[:-1]:
        user.delete_object("box", name)
    with pytest.raises(ClientException):
        user.delete_container("box")
    run(store, upkeep, 12)
    assert len(shown(store, "box")["ranges"]) < 4
    user.delete_object("box", names[-1])
    assert user.get_container("box")[1] == []
    user.delete_container("box")
    with pytest.raises(ClientException) as caught:
        user.get_container("box")
    assert caught.value.http_status == 404
    fill(user, "box")
    assert [each["name"] for each in user.get_container("box")[1]] == NAMES


def test_an_operator_begins_it(store, upkeep, user):
    fill(user, "other")

    def asked(**words):
        words = {"account": ACCOUNT, "container": "other", **words}
        return store.run(lambda: sharding.shard(store.engine, upkeep.sharder, words, SIZES.rows_per_shard))

    for wrong, error in (
        ({"container": "none"}, NotFound),
        ({"rows": -1}, Invalid),
        ({"container": ""}, Invalid),
        ({"rows": 100}, Conflict),
    ):
        with pytest.raises(error):
            asked(**wrong)
    sent = {"x-container-sync-to": "//realm/cluster/AUTH_x/y"}
    store.run(lambda: store.engine.set_metadata(Key(ACCOUNT, "other"), stamps.now(), sent))
    with pytest.raises(Conflict, match="sent"):
        asked(rows=10)
    user.post_container("other", {"X-Remove-Container-Sync-To": "yes"})
    found = asked(rows=10)
    assert [each["upper"] for each in found["ranges"]] == ["b/1", "c/3", ""]
    with pytest.raises(Conflict, match="sharded already"):
        asked()
    run(store, upkeep)
    assert {each["state"] for each in shown(store, "other")["ranges"]} == {"active"}
    assert [each["name"] for each in user.get_container("other")[1]] == NAMES
