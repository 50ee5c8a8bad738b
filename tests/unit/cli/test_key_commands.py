# SPDX-License-Identifier: Apache-2.0
"""`cumulet certificate` and `cumulet key-manager` on a state directory of their own."""

from __future__ import annotations

import json
import stat
from datetime import timedelta

import pytest

from cumulet.cli import main
from cumulet.cli.migrate import folders
from cumulet.kernel import clock, ids
from cumulet.kernel.db import Database, migrate
from cumulet.kernel.vault import Vault
from cumulet.services.key_manager.logic.keys import Keyring
from cumulet.services.key_manager.store import keys as store
from cumulet.services.key_manager.store import secrets
from cumulet.services.key_manager.types import Secret
from cumulet.settings import load


@pytest.fixture
def state(tmp_path):
    settings = load(environ={}, overrides={"state": str(tmp_path)})
    db = Database.open(settings)
    migrate.migrate(db, folders())
    yield settings, db
    db.close()


@pytest.fixture
def cumulet(state, capsys):
    def run(*words):
        status = main(["--state", str(state[0].state), *words])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


def test_a_certificate_from_its_issue_to_its_end(state, cumulet):
    folder = state[0].state / "certificates"
    status, said = cumulet("certificate", "issue", "api", "cloud.example.org", "--days", "30")
    assert status == 0
    assert said.split() == [str(folder / "api.key"), str(folder / "api.pem")]
    assert stat.S_IMODE((folder / "api.key").stat().st_mode) == 0o600
    first = (folder / "api.pem").read_text()
    assert first.count("BEGIN CERTIFICATE") == 2
    assert first.endswith(cumulet("certificate", "authority")[1])
    assert cumulet("certificate", "issue", "api", "x")[0] == 1
    assert cumulet("certificate", "renew", "api")[0] == 0
    assert (folder / "api.pem").read_text() != first
    assert "cloud.example.org  good" in cumulet("certificate", "list")[1]
    assert cumulet("certificate", "revoke", "api")[1].startswith("2 revoked")
    assert [one["name"] for one in json.loads(cumulet("certificate", "list", "--json")[1])] == ["api", "api"]
    assert "BEGIN X509 CRL" in cumulet("certificate", "crl")[1]
    assert cumulet("certificate", "revoke", "api")[0] == 1
    assert cumulet("certificate", "renew", "api", "--days", "9999")[0] == 2


def test_secrets_are_sealed_under_new_keys(state, cumulet):
    settings, db = state
    ring = Keyring(db, Vault(db, settings.master_key))
    payload = ring.seal("p", ids.new_uuid(), b"whisper")
    db.write(lambda tx: store.add_payloads(tx, [payload]))
    assert cumulet("key-manager", "rotate") == (0, "1 secrets are sealed under new keys\n")
    after = store.payload_of(db, payload.id)
    assert after.key_id != payload.key_id
    assert ring.open(after) == b"whisper"
    assert cumulet("key-manager", "prune") == (0, "0 keys are forgotten\n")
    settings.master_key.unlink()
    assert cumulet("key-manager", "rotate")[0] == 1


def test_expired_secrets_are_removed(state, cumulet):
    _, db = state
    now = clock.utcnow()
    for days in (100, 10):
        gone = now - timedelta(days=days)
        old = Secret(ids.new_uuid(), "p", "u", None, "opaque", gone, None, None, None, None, gone, gone)
        db.write(lambda tx, old=old: secrets.add(tx, old))
    assert cumulet("key-manager", "purge") == (0, "1 secrets are removed\n")
    assert cumulet("key-manager", "purge", "--days", "11") == (0, "0 secrets are removed\n")
    assert cumulet("key-manager", "purge", "--days", "0") == (0, "1 secrets are removed\n")
    with pytest.raises(SystemExit):
        cumulet("key-manager", "purge", "--days", "-1")


def test_nothing_is_sealed_where_there_is_nothing(tmp_path, capsys):
    assert main(["--state", str(tmp_path / "none"), "key-manager", "rotate"]) == 1
    assert "there is nothing at" in capsys.readouterr().err
