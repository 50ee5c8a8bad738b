# SPDX-License-Identifier: Apache-2.0
"""The vault: nothing readable in the database, master keys that change without loss, clear words where one lacks."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from cumulet.kernel import vault as vault_module
from cumulet.kernel.db import Database, migrate, sql
from cumulet.kernel.master_key import MasterKeys, NoMasterKey
from cumulet.kernel.vault import Vault


@pytest.fixture
def db(empty: Database) -> Database:
    migrate.migrate(empty, {})
    return empty


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "master.key"


def test_the_script_is_the_table() -> None:
    script = migrate.KERNEL_FOLDER / "0002_expand_secrets.sql"
    assert script.read_text() == migrate.draft(vault_module.metadata)


def test_a_secret_is_kept_and_stands_nowhere(db: Database, key: Path) -> None:
    vault = Vault(db, key)
    assert vault.get("a") is None
    assert vault.get_or_make("a", lambda: b"hunter2-hunter2") == b"hunter2-hunter2"
    assert vault.get_or_make("a", lambda: b"another") == b"hunter2-hunter2"
    assert Vault(db, key).get("a") == b"hunter2-hunter2"
    assert "hunter2" not in str(sql.tuples(db, select(vault_module.secret)))
    assert key.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in key.parent.iterdir()] == ["master.key"]
    vault.remove("a")
    assert vault.get("a") is None


def test_a_secret_is_read_inside_a_transaction(db: Database, key: Path) -> None:
    vault = Vault(db, key)
    vault.get_or_make("a", lambda: b"x")
    assert db.write(lambda tx: vault.get("a", tx)) == b"x"


def test_many_replicas_make_one_secret(db: Database, key: Path) -> None:
    made: list[bytes] = []
    start = threading.Barrier(8)

    def make(number: int) -> None:
        start.wait()
        made.append(Vault(db, key).get_or_make("ring", lambda: str(number).encode()))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert len(made) == 8


def test_no_change_is_lost(db: Database, key: Path) -> None:
    def add() -> None:
        vault = Vault(db, key)
        for _ in range(10):
            vault.change("count", lambda old: str(int(old or b"0") + 1).encode())

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Vault(db, key).get("count") == b"40"


def test_the_master_key_is_replaced_without_loss(db: Database, key: Path, tmp_path: Path) -> None:
    vault, other_file = Vault(db, key), tmp_path / "other" / "master.key"
    vault.get_or_make("a", lambda: b"first")
    old = set(vault.keys.all())
    staged = vault.keys.stage()
    other_file.parent.mkdir()
    other_file.write_bytes(key.read_bytes())  # as it is carried to another replica
    other = Vault(db, other_file)
    assert set(vault.keys.all()) == {*old, staged}
    assert vault.keys.promote() == staged
    assert vault.get("a") == b"first"
    assert vault.reseal() == 1
    assert vault.reseal() == 0
    assert other.get("a") == b"first"
    assert vault.used_keys() == {staged}
    assert set(vault.keys.prune(vault.used_keys())) == old
    assert list(MasterKeys(key).all()) == [staged]
    assert Vault(db, key).get("a") == b"first"


def test_a_key_that_is_needed_stays(db: Database, key: Path) -> None:
    vault = Vault(db, key)
    vault.get_or_make("a", lambda: b"first")
    vault.keys.promote()
    assert vault.keys.prune(vault.used_keys()) == []
    assert len(vault.keys.all()) == 2
    assert vault.get("a") == b"first"


def test_another_machine_without_the_key_is_told_so(db: Database, key: Path, tmp_path: Path) -> None:
    Vault(db, key).get_or_make("a", lambda: b"hunter2")
    elsewhere = Vault(db, tmp_path / "elsewhere.key")
    with pytest.raises(NoMasterKey, match="copy it from another replica"):
        elsewhere.get("a")
    with pytest.raises(NoMasterKey, match="copy it from another replica"):
        elsewhere.get_or_make("b", lambda: b"x")
    elsewhere.keys.make()
    with pytest.raises(NoMasterKey, match="needs the master key") as told:
        elsewhere.get("a")
    assert "hunter2" not in str(told.value)


@pytest.mark.parametrize("text", ["", "short", "\xff\xfe", "AAAA" * 8])
def test_a_broken_file_is_told_without_its_content(db: Database, key: Path, text: str) -> None:
    vault = Vault(db, key)
    vault.get_or_make("a", lambda: b"x")
    key.write_text(text)
    with pytest.raises(NoMasterKey) as told:
        vault.get("a")
    assert text not in str(told.value) or not text


def test_a_row_moved_to_another_name_does_not_open(db: Database, key: Path) -> None:
    vault = Vault(db, key)
    vault.get_or_make("low", lambda: b"x")
    table = vault_module.secret
    db.write(lambda tx: sql.execute(tx, update(table).where(table.c.name == "low").values(name="high")))
    with pytest.raises(NoMasterKey, match="was changed"):
        vault.get("high")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 1000), other=st.characters(codec="ascii", categories=("L", "N", "P")))
def test_a_changed_row_does_not_open(db: Database, key: Path, place: int, other: str) -> None:
    vault, table = Vault(db, key), vault_module.secret
    vault.remove("a")
    vault.get_or_make("a", lambda: b"hunter2")
    sealed = str(sql.scalar(db, select(table.c.sealed)))
    at = place % len(sealed)
    changed = sealed[:at] + other + sealed[at + 1 :]
    db.write(lambda tx: sql.execute(tx, update(table).values(sealed=changed)))
    # Bits that base64 pads with may change without changing a byte.
    with contextlib.suppress(NoMasterKey):
        assert vault.get("a") == b"hunter2"
