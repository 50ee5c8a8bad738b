# SPDX-License-Identifier: Apache-2.0
"""`cumulet check`: what it asks, what it prints, how it ends."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cumulet import cli
from cumulet.kernel import door
from cumulet.kernel.errors import NotReady

FOUND = {"service": "compute", "subject": "s-1", "text": "server is pausing, and nobody works on it"}


def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, answer: Any, *words: str) -> int:
    def ask(path: Path, verb: str, **asked: Any) -> Any:
        assert (path.name, verb, asked["seconds"]) == ("control.door", "audit", 0.5)
        assert asked["timeout"] > asked["seconds"]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(door, "ask", ask)
    return cli.main(["--set", f"state={tmp_path}", "check", "--wait", "0.5", *words])


def test_a_cloud_that_is_well(monkeypatch, tmp_path, capsys):
    assert check(monkeypatch, tmp_path, {"hosts": ["h1", "h2"], "findings": []}) == 0
    assert "all is as it should be, here and on h1, h2" in capsys.readouterr().out


def test_what_is_wrong_is_shown(monkeypatch, tmp_path, capsys):
    assert check(monkeypatch, tmp_path, {"hosts": ["h1"], "findings": [FOUND]}) == 1
    assert "compute  s-1  server is pausing, and nobody works on it" in capsys.readouterr().out


def test_for_programs(monkeypatch, tmp_path, capsys):
    assert check(monkeypatch, tmp_path, {"hosts": ["h1"], "findings": [FOUND]}, "--json") == 1
    assert json.loads(capsys.readouterr().out)["findings"] == [FOUND]


@pytest.mark.parametrize("trouble", [NotReady("nobody answers"), TimeoutError()])
def test_nobody_answers(monkeypatch, tmp_path, capsys, trouble):
    assert check(monkeypatch, tmp_path, trouble) == 2
    assert "the control plane does not answer" in capsys.readouterr().err
