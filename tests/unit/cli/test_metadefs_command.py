# SPDX-License-Identifier: Apache-2.0
"""`cumulet image metadefs`: definitions into a cloud's database, and out of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cumulet import cli


def test_definitions_come_and_go(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*words: str) -> int:
        return cli.main(["--state", str(tmp_path / "state"), *words])

    (tmp_path / "state").mkdir()
    assert run("migrate") == 0
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"namespace": "My::Own", "visibility": "public"}))
    capsys.readouterr()
    assert run("image", "metadefs", "load", str(own)) == 0
    assert run("image", "metadefs", "load", str(own)) == 0
    assert capsys.readouterr().out == "My::Own is loaded\nall of them are there\n"
    assert run("image", "metadefs", "load", "--overwrite") == 1
    assert "need --merge" in capsys.readouterr().err
    assert run("image", "metadefs", "load", "--merge", "--prefer-new", "--overwrite") == 1
    assert run("image", "metadefs", "load") == 0
    assert "OS::Compute::Hypervisor is loaded" in capsys.readouterr().out
    assert run("image", "metadefs", "export", str(tmp_path / "out")) == 0
    assert len(list((tmp_path / "out").iterdir())) == 33
    assert run("image", "metadefs", "export", str(own / "out")) == 1
    capsys.readouterr()
    assert run("image", "metadefs", "unload") == 0
    assert capsys.readouterr().out == "33 namespaces are removed\n"
