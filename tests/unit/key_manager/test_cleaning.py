# SPDX-License-Identifier: Apache-2.0
"""What nobody can reach any more goes: with its project, or long after it has expired; all else stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.services.identity.store import projects as identity
from cumulet.services.identity.types import Target
from cumulet.services.key_manager import loops
from cumulet.services.key_manager.logic import cleaning, secrets
from cumulet.services.key_manager.logic.words import NewSecret
from cumulet.services.key_manager.store import acls as acl_store
from cumulet.services.key_manager.store import consumers, keys, orders, projects
from cumulet.services.key_manager.store import quotas as quota_store
from cumulet.services.key_manager.store import secrets as store
from cumulet.services.key_manager.types import Acl, OrderStatus, SecretConsumer
from support.caller import Caller
from support.people import People
from support.waiting import until

DAY = timedelta(days=1)


@pytest.fixture
def people(cloud):
    return People(cloud)


@pytest.fixture
def admin(cloud, people):
    return Caller(cloud.settings.control.port, people.admin_token({"project": {"id": people.named_project("admin")}}))


@pytest.fixture
def full(cloud, people):
    """Makes projects that have one of each thing: the project's id, its secret's and its order's."""

    def made(name, **words):
        project_id = people.project(name, **words)
        member = people.user(name)
        people.grant(member, "member", Target.PROJECT, project_id)
        caller = Caller(cloud.settings.control.port, people.token(member, {"project": {"id": project_id}}))
        return project_id, *_fill(caller)

    return made


def _fill(caller):
    root = "/key-manager/v1"
    ref = caller("POST", f"{root}/secrets", {"payload": "hush", "payload_content_type": "text/plain"})["secret_ref"]
    secret_id = ref.rpartition("/")[2]
    caller("PUT", f"{root}/secrets/{secret_id}/acl", {"read": {"users": ["u"]}})
    caller("POST", f"{root}/secrets/{secret_id}/consumers", {"service": "s", "resource_type": "r", "resource_id": "1"})
    caller("POST", f"{root}/containers", {"type": "generic", "secret_refs": [{"secret_ref": ref}]})
    order = caller("POST", f"{root}/orders", {"type": "key", "meta": {"algorithm": "aes", "bit_length": 128}})
    return secret_id, order["order_ref"].rpartition("/")[2]


def _rests(db, project_id, secret_id):
    """What of a project is still there."""
    return (
        project_id in projects.holding(db)
        or keys.payload_of(db, secret_id)
        or acl_store.find(db, secret_id)
        or consumers.count(db, SecretConsumer, project_id)
    )


def test_with_a_project_goes_all_that_it_had(cloud, admin, full):
    db = cloud.control.cloud.db
    gone, kept = full("gone"), full("kept")
    admin("PUT", f"/key-manager/v1/project-quotas/{gone[0]}", {"project_quotas": {"secrets": 5}})
    admin("DELETE", f"/identity/v3/projects/{gone[0]}")
    until(lambda: not _rests(db, gone[0], gone[1]))
    assert quota_store.find(db, gone[0]) is None
    assert keys.active(db, gone[0]) is None
    assert _rests(db, kept[0], kept[1])
    assert keys.active(db, kept[0]) is not None


def test_a_domain_that_acts_as_a_project_keeps_its_own_until_its_end(cloud, admin, full):
    running = cloud.control.cloud
    domain_id, secret_id, _ = full("acting", is_domain=True)
    loops.clean(running)
    assert keys.payload_of(running.db, secret_id) is not None
    admin("PATCH", f"/identity/v3/domains/{domain_id}", {"domain": {"enabled": False}})
    admin("DELETE", f"/identity/v3/domains/{domain_id}")
    until(lambda: not _rests(running.db, domain_id, secret_id))


def test_an_end_that_nobody_told_of_is_found(cloud, full):
    running = cloud.control.cloud
    project_id, secret_id, order_id = full("lost")
    until(lambda: orders.find(running.db, order_id).status == OrderStatus.ACTIVE)
    running.db.write(lambda tx: identity.remove(tx, project_id))
    loops.clean(running)
    assert not _rests(running.db, project_id, secret_id)


@pytest.fixture
def alone(db, vault):
    """A cloud of a database and a vault, with secrets by how many days ago they expired."""
    cloud = Cloud(None, db, None, None, None, None, (), None, vault)  # type: ignore[arg-type]
    now = clock.utcnow()

    def keep(days):
        expiration = None if days is None else now - days * DAY
        new = NewSecret(plain=b"whisper", content_type="text/plain", expiration=expiration)
        prepared = secrets.prepare_for(cloud, "p", "u", new)

        def write(tx):
            secrets.add(tx, prepared)
            acl_store.add(tx, Acl(prepared.secret.id, True, now, now))
            row = SecretConsumer(ids.new_uuid(), prepared.secret.id, "p", "s", "r", "1", now, now)
            consumers.add(tx, row)

        db.write(write)
        return prepared.secret.id

    return db, keep


def test_what_expired_long_ago_is_removed(alone, monkeypatch):
    monkeypatch.setattr(cleaning, "BATCH", 2)
    db, keep = alone
    old, young = [keep(days) for days in (9, 8, 7, 6, 5)], [keep(days) for days in (3, -1, None)]
    assert cleaning.purge(db, clock.utcnow() - 4 * DAY) == 5
    assert set(store.all_ids(db)) == set(young) == set(acl_store.owners(db))
    assert {one.id for one in keys.payloads(db, "", 99)} == set(young)
    assert consumers.count(db, SecretConsumer, "p") == 3
    assert not consumers.find_all(db, SecretConsumer, old)
    assert cleaning.purge(db, clock.utcnow() - 4 * DAY) == 0


def test_a_project_that_is_gone_gets_no_new_key(alone, ring):
    db, keep = alone
    secret_id = keep(None)
    db.write(lambda tx: projects.remove(tx, "p", clock.utcnow()))
    assert keys.payload_of(db, secret_id) is None
    assert ring.rotate() == 0
    assert keys.active(db, "p") is None
    assert projects.holding(db) == []


def test_a_purge_that_was_killed_is_run_again(alone, monkeypatch):
    monkeypatch.setattr(cleaning, "BATCH", 1)
    db, keep = alone
    for days in (3, 2, 1):
        keep(days)
    calls, forget = [], secrets.forget

    def dies(tx, *secret_ids):
        calls.append(secret_ids)
        forget(tx, *secret_ids)
        if len(calls) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(secrets, "forget", dies)
    with pytest.raises(KeyboardInterrupt):
        cleaning.purge(db, clock.utcnow())
    assert len(store.all_ids(db)) == len(keys.payloads(db, "", 99)) == 2
    assert cleaning.purge(db, clock.utcnow()) == 2
    assert acl_store.owners(db) == []
