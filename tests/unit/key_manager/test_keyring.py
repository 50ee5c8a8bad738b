# SPDX-License-Identifier: Apache-2.0
"""Sealing under keys of projects, and their rotation."""

from __future__ import annotations

import threading
from datetime import timedelta

import msgspec
import pytest

from cumulet.kernel import clock, ids
from cumulet.services.key_manager.logic import keys as logic
from cumulet.services.key_manager.logic.keys import Keyring, Unreadable
from cumulet.services.key_manager.store import keys as store

SECRET = b"a secret that nobody must read"


def kept(db, ring, project="p1", plain=SECRET):
    """A sealed payload in the database."""
    payload = ring.seal(project, ids.new_uuid(), plain)
    db.write(lambda tx: store.add_payloads(tx, [payload]))
    return payload.id


def opened(db, ring, owner):
    return ring.open(store.payload_of(db, owner))


def test_what_is_sealed_opens(db, ring):
    assert opened(db, ring, kept(db, ring)) == SECRET


def test_it_does_not_stand_in_the_database(db, ring):
    payload = store.payload_of(db, kept(db, ring))
    assert SECRET not in payload.sealed
    assert payload.sealed != store.payload_of(db, kept(db, ring)).sealed


def test_each_project_has_a_key_of_its_own(db, ring):
    one, same, other = (store.payload_of(db, kept(db, ring, project)) for project in ("p1", "p1", "p2"))
    assert one.key_id == same.key_id != other.key_id


@pytest.mark.parametrize("change", ["id", "key_id", "sealed"])
def test_what_was_moved_or_changed_does_not_open(db, ring, change):
    one, other = (store.payload_of(db, kept(db, ring, project)) for project in ("p1", "p2"))
    forged = {"id": other.id, "key_id": other.key_id, "sealed": one.sealed[:-1] + bytes([one.sealed[-1] ^ 1])}
    with pytest.raises(Unreadable):
        ring.open(msgspec.structs.replace(one, **{change: forged[change]}))


def test_two_that_need_a_first_key_agree(db, vault):
    rings, gate, made = [Keyring(db, vault) for _ in range(4)], threading.Barrier(4), []

    def seal(ring):
        gate.wait(10)
        made.append(kept(db, ring))

    threads = [threading.Thread(target=seal, args=(ring,)) for ring in rings]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len({store.payload_of(db, owner).key_id for owner in made}) == 1
    assert [opened(db, rings[0], owner) for owner in made] == [SECRET] * 4


def test_a_rotation_seals_all_anew(db, ring, monkeypatch):
    monkeypatch.setattr(logic, "BATCH", 2)
    owners = [kept(db, ring, project) for project in ("p1", "p1", "p1", "p2")]
    before = {store.payload_of(db, owner).key_id for owner in owners}
    assert ring.rotate() == 4
    after = {store.payload_of(db, owner).key_id for owner in owners}
    assert len(after) == 2
    assert not after & before
    assert [opened(db, ring, owner) for owner in owners] == [SECRET] * 4


def test_another_process_goes_on_meanwhile(db, vault, ring):
    other = Keyring(db, vault)
    owner = kept(db, other)
    late = other.seal("p1", ids.new_uuid(), SECRET)
    ring.rotate()
    db.write(lambda tx: store.add_payloads(tx, [late]))
    assert opened(db, other, owner) == SECRET
    assert opened(db, ring, late.id) == SECRET
    assert ring.reseal() == 1
    assert opened(db, other, late.id) == SECRET


def test_a_rotation_that_was_killed_is_run_again(db, vault, ring, monkeypatch):
    owners = [kept(db, ring) for _ in range(5)]
    calls = []

    def dies(tx, old, new):
        calls.append(old.id)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return replace(tx, old, new)

    replace = store.replace_payload
    monkeypatch.setattr(store, "replace_payload", dies)
    with pytest.raises(KeyboardInterrupt):
        ring.rotate()
    monkeypatch.setattr(store, "replace_payload", replace)
    again = Keyring(db, vault)
    assert [opened(db, again, owner) for owner in owners] == [SECRET] * 5
    again.rotate()
    assert [opened(db, again, owner) for owner in owners] == [SECRET] * 5
    assert len({store.payload_of(db, owner).key_id for owner in owners}) == 1


def test_an_old_key_is_forgotten_when_it_is_idle_for_long(db, vault, ring):
    owner = kept(db, ring)
    old = store.payload_of(db, owner).key_id
    ring.rotate()
    assert ring.prune() == 0
    assert vault.get(f"key_manager.key.{old}") is not None
    later = clock.now() + (logic.PATIENCE + timedelta(seconds=1)).total_seconds()
    clock.set_source(lambda: later)
    try:
        assert ring.prune() == 1
    finally:
        clock.set_source()
    assert vault.get(f"key_manager.key.{old}") is None
    assert [key.id for key in store.find_all(db)] == [store.payload_of(db, owner).key_id]


def test_the_master_key_may_be_replaced(db, vault, ring):
    owner = kept(db, ring)
    vault.keys.promote()
    vault.reseal()
    vault.keys.prune(vault.used_keys())
    assert opened(db, Keyring(db, vault), owner) == SECRET


def test_a_key_that_is_lost_is_told(db, vault, ring):
    payload = store.payload_of(db, kept(db, ring))
    vault.remove(f"key_manager.key.{payload.key_id}")
    with pytest.raises(Unreadable, match="not in the vault"):
        Keyring(db, vault).open(payload)
