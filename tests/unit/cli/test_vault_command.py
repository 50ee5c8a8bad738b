# SPDX-License-Identifier: Apache-2.0
"""`cumulet vault`: a master key is staged, made the one that seals, and the old one forgotten."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cumulet import cli
from cumulet.kernel.db import Database, migrate
from cumulet.kernel.vault import Vault


def test_the_master_key_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    db = Database.sqlite(tmp_path / "cumulet.db", durable=False)
    migrate.migrate(db, {})
    vault = Vault(db, tmp_path / "keys" / "master.key")
    vault.get_or_make("a", lambda: b"hunter2")
    (old,) = vault.keys.all()

    def run(action: str, code: int = 0) -> str:
        assert cli.main(["--state", str(tmp_path), "vault", action]) == code
        said = capsys.readouterr()
        return said.out + said.err

    assert run("show") == f"{old}  seals\n"
    staged = run("stage").split()[1].rstrip(":")
    assert run("show") == f"{old}  seals\n{staged}  opens, not needed\n"
    assert f"1 secrets are sealed under {staged}" in run("rotate")
    assert run("prune") == f"forgotten: {old}\n"
    assert run("show") == f"{staged}  seals\n"
    assert vault.get("a") == b"hunter2"
    (tmp_path / "keys" / "master.key").rename(tmp_path / "lost")
    assert "copy it from another replica or from a backup" in run("show", 1)
    db.close()


def test_a_control_plane_without_its_key_says_so_and_ends(tmp_path: Path) -> None:
    db = Database.sqlite(tmp_path / "cumulet.db", durable=False)
    migrate.migrate(db, {})
    Vault(db, tmp_path / "keys" / "master.key").get_or_make("a", lambda: b"hunter2")
    db.close()
    (tmp_path / "keys" / "master.key").unlink()
    argv = [sys.executable, "-m", "cumulet.cli", "--state", str(tmp_path), "serve"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=100)
    assert done.returncode == 1
    assert "copy it from another replica or from a backup" in done.stderr
    assert "Traceback" not in done.stderr
