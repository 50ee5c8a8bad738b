# SPDX-License-Identifier: Apache-2.0
"""The key repository: private files, a staged key that all know before it seals, rotation that loses nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.fernet import InvalidToken

from cumulet.services.identity.logic import keys


def numbers(folder: Path) -> list[int]:
    return sorted(int(path.name) for path in folder.iterdir())


def test_there_is_a_primary_and_a_staged_key(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys.ensure(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    keys.ensure(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert numbers(folder) == [0, 1]


def test_nobody_else_reads_them(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    keys.ensure(folder)
    keys.rotate(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}


def test_the_staged_key_becomes_primary(tmp_path: Path) -> None:
    keys.ensure(tmp_path)
    staged = (tmp_path / "0").read_bytes()
    assert keys.rotate(tmp_path) == 2
    assert (tmp_path / "2").read_bytes() == staged
    assert (tmp_path / "0").read_bytes() != staged


def test_a_rotation_is_seen_at_once_and_loses_nothing(tmp_path: Path) -> None:
    keys.ensure(tmp_path)
    ring = keys.KeyRing(tmp_path)
    sealed = ring.fernet().encrypt(b"old")
    keys.rotate(tmp_path)
    assert ring.fernet().decrypt(sealed) == b"old"
    other = keys.KeyRing(tmp_path)
    assert other.fernet().decrypt(ring.fernet().encrypt(b"new")) == b"new"


def test_a_process_that_was_asleep_opens_what_the_new_primary_seals(tmp_path: Path) -> None:
    keys.ensure(tmp_path)
    asleep = keys.KeyRing(tmp_path).fernet()
    keys.rotate(tmp_path)
    assert asleep.decrypt(keys.KeyRing(tmp_path).fernet().encrypt(b"text")) == b"text"


def test_old_keys_go(tmp_path: Path) -> None:
    keys.ensure(tmp_path)
    sealed = keys.KeyRing(tmp_path).fernet().encrypt(b"old")
    for _ in range(3):
        keys.rotate(tmp_path)
    assert numbers(tmp_path) == [0, 3, 4]
    with pytest.raises(InvalidToken):
        keys.KeyRing(tmp_path).fernet().decrypt(sealed)
