# SPDX-License-Identifier: Apache-2.0
"""The rings of keys: sealed, a staged key that all know before it seals, rotation that loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet, InvalidToken

from cumulet.kernel.db import Database, migrate
from cumulet.kernel.vault import Vault
from cumulet.services.identity.logic import keys

NAME = keys.TOKENS


@pytest.fixture
def vault(tmp_path: Path) -> Iterator[Vault]:
    db = Database.sqlite(tmp_path / "cloud.db", durable=False)
    migrate.migrate(db, {})
    yield Vault(db, tmp_path / "master.key")
    db.close()


def held(vault: Vault) -> dict[str, str]:
    found: dict[str, str] = json.loads(vault.get(NAME) or b"{}")
    return found


def test_there_is_a_primary_and_a_staged_key(vault: Vault) -> None:
    keys.ensure(vault, NAME)
    before = held(vault)
    keys.ensure(vault, NAME)
    assert held(vault) == before
    assert sorted(before) == ["0", "1"]


def test_they_are_sealed_in_the_database(vault: Vault, tmp_path: Path) -> None:
    keys.ensure(vault, NAME)
    keys.rotate(vault, NAME)
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("cloud.db*"))
    assert NAME.encode() in kept
    assert not any(key.encode() in kept for key in held(vault).values())


def test_the_staged_key_becomes_primary(vault: Vault) -> None:
    keys.ensure(vault, NAME)
    staged = held(vault)["0"]
    assert keys.rotate(vault, NAME) == 2
    assert held(vault)["2"] == staged
    assert held(vault)["0"] != staged


def test_a_rotation_is_seen_soon_and_loses_nothing(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    keys.ensure(vault, NAME)
    ring = keys.KeyRing(vault, NAME)
    sealed = ring.fernet().encrypt(b"old")
    before = ring.fernet()
    keys.rotate(vault, NAME)
    assert ring.fernet() is before
    monkeypatch.setattr(keys, "RELOAD", -1.0)
    assert ring.fernet().decrypt(sealed) == b"old"
    other = keys.KeyRing(vault, NAME)
    assert other.fernet().decrypt(ring.fernet().encrypt(b"new")) == b"new"


def test_a_process_that_has_not_read_again_opens_what_the_new_primary_seals(vault: Vault) -> None:
    keys.ensure(vault, NAME)
    asleep = keys.KeyRing(vault, NAME).fernet()
    keys.rotate(vault, NAME)
    assert asleep.decrypt(keys.KeyRing(vault, NAME).fernet().encrypt(b"text")) == b"text"


def test_old_keys_go(vault: Vault) -> None:
    keys.ensure(vault, NAME)
    sealed = keys.KeyRing(vault, NAME).fernet().encrypt(b"old")
    for _ in range(3):
        keys.rotate(vault, NAME)
    assert sorted(held(vault)) == ["0", "3", "4"]
    with pytest.raises(InvalidToken):
        keys.KeyRing(vault, NAME).fernet().decrypt(sealed)


def test_keys_in_files_are_taken_over(vault: Vault, tmp_path: Path) -> None:
    folder = tmp_path / "keys" / "fernet"
    folder.mkdir(parents=True)
    former = {str(number): Fernet.generate_key().decode() for number in (0, 5)}
    for number, key in former.items():
        (folder / number).write_text(key)
    token = Fernet(former["5"]).encrypt(b"issued before")
    keys.take_over(vault, NAME, tmp_path)
    keys.ensure(vault, NAME)
    assert held(vault) == former
    assert keys.KeyRing(vault, NAME).fernet().decrypt(token) == b"issued before"
    assert not folder.exists()
    keys.take_over(vault, NAME, tmp_path)


def test_other_keys_in_files_stay_where_they_are(vault: Vault, tmp_path: Path) -> None:
    keys.ensure(vault, NAME)
    before = held(vault)
    folder = tmp_path / "keys" / "fernet"
    folder.mkdir(parents=True)
    (folder / "1").write_text(Fernet.generate_key().decode())
    keys.take_over(vault, NAME, tmp_path)
    assert held(vault) == before
    assert (folder / "1").exists()
