# SPDX-License-Identifier: Apache-2.0
"""`cumulet identity`: on a cloud's database, and on none."""

from __future__ import annotations

from pathlib import Path

import pytest

from cumulet import cli


def test_on_a_database_and_on_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> int:
        return cli.main(["--state", str(tmp_path / "state"), *words])

    assert run("identity", "rotate-keys") == 1
    assert "there is nothing" in capsys.readouterr().err
    (tmp_path / "state").mkdir()
    assert run("identity", "trust-flush") == 1
    assert "run `cumulet migrate`" in capsys.readouterr().err
    assert run("migrate") == 0
    assert run("identity", "rotate-keys") == 0
    assert run("identity", "trust-flush") == 0
    assert capsys.readouterr().out.endswith("tokens: key 2 seals now\n0 trusts are forgotten\n")
