# SPDX-License-Identifier: Apache-2.0
"""What monitoring is told, on which devices things lie, and who may ask for that."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import asynccontextmanager

import httpx

from cumulet.objects import application
from cumulet.services.object_store.api.site import Options, Site
from cumulet.services.object_store.engine.base import Name
from cumulet.services.object_store.logic.recon import Recon
from cumulet.services.object_store.logic.standing import Standing
from cumulet.services.object_store.types import objects
from cumulet.services.object_store.types.indexes import Key
from cumulet.settings.object_store import ObjectDevice, ObjectStore, StoragePolicy
from support.object_store import FakeIdentity

FIELDS = {
    "async": {"async_pending", "async_pending_last"},
    "replication": {
        "replication_time", "replication_stats", "replication_last", "object_replication_time",
        "object_replication_last",
    },
    "replication/account": {"replication_time", "replication_stats", "replication_last"},
    "replication/container": {"replication_time", "replication_stats", "replication_last"},
    "updater/container": {"container_updater_sweep"},
    "updater/object": {"object_updater_sweep", "object_updater_stats", "object_updater_last"},
    "auditor/account": {
        "account_audits_passed", "account_auditor_pass_completed", "account_audits_since", "account_audits_failed",
    },
    "auditor/container": {
        "container_audits_passed", "container_auditor_pass_completed", "container_audits_since",
        "container_audits_failed",
    },
    "auditor/object": {"object_auditor_stats_ALL", "object_auditor_stats_ZBF"},
    "expirer/object": {"object_expiration_pass", "expired_last_pass"},
    "driveaudit": {"drive_audit_errors"},
    "sharding": {"sharding_stats", "sharding_time", "sharding_last"},
    "relinker": {"devices", "workers"},
    "reconstruction/object": {"object_reconstruction_last", "object_reconstruction_time"},
    "load": {"1m", "5m", "15m", "tasks", "processes"},
    "quarantined": {"objects", "containers", "accounts", "policies"},
}  # fmt: skip


@asynccontextmanager
async def standing(folder, **filters):
    """Two devices of which one is not there, and a way to ask from an address."""
    for name in ("one", "two"):
        (folder / name).mkdir()
    devices = tuple(ObjectDevice(name=name, folder=folder / name) for name in ("one", "two"))
    policies = (StoragePolicy(number=1, name="silver", devices=("one",)),)
    chosen = ObjectStore(devices=devices, policies=policies, part_power=3, durable=False, reserve=0)
    made = await Standing.open(folder / "objects", chosen)
    try:
        looks = Recon(made.home, made.engine.places, made.upkeep)
        app = application(
            Site(engine=made.engine, identity=FakeIdentity(), options=Options(filters=filters), looks=looks)
        )

        async def ask(path, client="127.0.0.1", method="GET", **headers):
            way = httpx.ASGITransport(app, client=(client, 1234))
            async with httpx.AsyncClient(transport=way, base_url="http://store") as caller:
                return await caller.request(method, path, headers=headers)

        yield made, ask
    finally:
        await made.close()


async def put(engine, name, policy=0):
    await engine.put(Key("AUTH_one"), 1 << 30)
    await engine.put(Key("AUTH_one", "c"), 1 << 30, policy=policy)
    async with await engine.write(Name("AUTH_one", "c", name, policy)) as writing:
        await writing.write(b"body" * 30_000)
        await writing.commit(objects.put(1 << 31, writing.size, await writing.etag(), "text/plain"))


def test_what_is_told(tmp_path):
    asyncio.run(_what_is_told(tmp_path))


async def _what_is_told(tmp_path):
    async with standing(tmp_path, recon={}) as (_, ask):
        for path, fields in FIELDS.items():
            answer = await ask(f"/recon/{path}")
            assert answer.status_code == 200, path
            assert answer.json().keys() == fields, path
        assert abs((await ask("/recon/time")).json() - time.time()) < 30
        assert (await ask("/recon/version")).json().keys() == {"version"}
        assert "MemTotal" in (await ask("/recon/mem")).json()
        assert {"tcp_in_use", "orphan", "time_wait", "tcp_mem_allocated_bytes"} <= (
            await ask("/recon/sockstat")
        ).json().keys()
        assert {"device", "path"} == (await ask("/recon/mounted")).json()[0].keys()
        assert (await ask("/recon/devices")).json() == {str(tmp_path): ["one", "two"]}
        assert (await ask("/recon/unmounted")).json() == []
        rings = (await ask("/recon/ringmd5")).json()
        ring = tmp_path / "objects" / "rings" / "object.ring.gz"
        assert rings[str(ring)] == hashlib.md5(ring.read_bytes()).hexdigest()
        assert len(rings) == 4
        secret = tmp_path / "objects" / "secret.json"
        assert (await ask("/recon/swiftconfmd5")).json() == {str(secret): hashlib.md5(secret.read_bytes()).hexdigest()}


def test_runs_damage_and_devices_that_are_gone_are_seen(tmp_path):
    asyncio.run(_runs_damage_and_devices_that_are_gone_are_seen(tmp_path))


async def _runs_damage_and_devices_that_are_gone_are_seen(tmp_path):
    async with standing(tmp_path, recon={}) as (made, ask):
        while made.upkeep.runs.get("updater") is None:
            await asyncio.sleep(0.01)
        assert (await ask("/recon/async")).json()["async_pending"] == 0
        assert (await ask("/recon/updater/object")).json()["object_updater_last"] > 1
        await put(made.engine, "o")
        body = next(path for path in sorted((tmp_path / "one" / "data").rglob("*")) if path.is_file())
        body.write_bytes(b"x" * 120_000)
        assert await made.upkeep.auditor.run() == 1
        assert (await ask("/recon/quarantined")).json() == {
            "objects": 1, "containers": 0, "accounts": 0, "policies": {"0": {"objects": 1}}
        }  # fmt: skip
        stats = (await ask("/recon/auditor/object")).json()["object_auditor_stats_ALL"]
        assert (stats["quarantined"], stats["passes"] > 0) == (1, True)
        assert (await ask("/recon/auditor/container")).json()["container_audits_passed"] > 0
        usage = {each["device"]: each for each in (await ask("/recon/diskusage")).json()}
        assert usage["one"]["mounted"] is True
        assert usage["one"]["size"] > usage["one"]["used"] > 0
        del made.engine.places.devices["127.0.0.1", 6200, "two"]
        assert (await ask("/recon/unmounted")).json() == [{"device": "two", "mounted": False}]
        usage = {each["device"]: each for each in (await ask("/recon/diskusage")).json()}
        assert usage["two"] == {"device": "two", "mounted": False, "size": "", "used": "", "avail": ""}


CASES = [
    ("/recon/mem", {"client": "::1"}, 200),
    ("/recon/mem", {"client": "10.1.2.3"}, 200),
    ("/recon/mem", {"client": "::ffff:10.1.2.3"}, 200),
    ("/recon/mem", {"client": "10.2.0.1"}, 400),
    ("/recon/mem", {"client": "unix"}, 400),
    ("/recon/mem", {"x-forwarded-for": "127.0.0.1"}, 400),
    ("/recon/mem", {"client": "10.1.2.3", "forwarded": "for=10.1.2.3"}, 400),
    ("/recon/mem", {"method": "HEAD"}, 200),
    ("/recon/nothing", {}, 404),
    ("/recon/", {}, 404),
    ("/recon/replication/shelf", {}, 404),
    ("/recon/updater", {}, 404),
    ("/recon/updater/account", {}, 404),
    ("/recon/expirer/container", {}, 404),
    ("/endpoints/AUTH_one", {"client": "10.1.2.3"}, 400),
    ("/endpoints/AUTH_one", {"method": "POST"}, 405),
    ("/endpoints/", {}, 400),
    ("/endpoints/v1", {}, 400),
    ("/endpoints/v3/AUTH_one", {}, 400),
    ("/endpoints/AUTH_one//o", {}, 400),
    ("/endpoints/AUTH_one/%ff", {}, 400),
]


def test_who_may_ask_for_what(tmp_path):
    async def story():
        async with standing(tmp_path, recon={"allow": "10.1.0.0/16"}, list_endpoints={}) as (_, ask):
            found = [(path, more, (await ask(path, **more)).status_code) for path, more, _ in CASES]
            assert found == CASES
            assert (await ask("/recon/nothing")).text == "Invalid path: /recon/nothing"

    asyncio.run(story())


def test_where_things_lie(tmp_path):
    async def story():
        async with standing(tmp_path, list_endpoints={"list_endpoints_path": "/where"}) as (made, ask):
            await put(made.engine, "a/ü", 1)
            places = made.engine.places
            part = places.index(Key("AUTH_one")).part
            found = (await ask("/where/AUTH_one")).json()
            assert sorted(found) == [f"http://127.0.0.1:6200/{name}/{part}/AUTH_one" for name in ("one", "two")]
            assert (await ask("/where/v1/AUTH_one/")).json() == found
            assert (await ask("/where/v2.0/AUTH_one")).json() == {"endpoints": found, "headers": {}}
            part = places.index(Key("AUTH_one", "c")).part
            assert f"http://127.0.0.1:6200/one/{part}/AUTH_one/c" in (await ask("/where/AUTH_one/c")).json()
            part = places.object(Name("AUTH_one", "c", "a/ü", 1))[1].part
            assert (await ask("/where/v2/AUTH_one/c/a/%C3%BC")).json() == {
                "endpoints": [f"http://127.0.0.1:6200/one/{part}/AUTH_one/c/a/%C3%BC"],
                "headers": {"X-Backend-Storage-Policy-Index": "1"},
            }
            assert (await ask("/endpoints/AUTH_one")).status_code == 400  # a path like any other

    asyncio.run(story())


def test_without_a_word_in_the_settings_nothing_is_told(tmp_path):
    async def story():
        async with standing(tmp_path) as (_, ask):
            for path in ("/recon/mem", "/endpoints/AUTH_one"):
                assert (await ask(path)).status_code in (400, 404, 412)

    asyncio.run(story())


def test_a_bucket_may_have_the_name(tmp_path):
    async def story():
        async with standing(tmp_path, recon={}) as (_, ask):
            answer = await ask("/recon/mem", authorization="AWS nobody:signature", date="Mon, 23 Nov 2026 05:00:00 GMT")
            assert (answer.status_code, "MemTotal" in answer.text) == (403, False)

    asyncio.run(story())
