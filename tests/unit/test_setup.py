# SPDX-License-Identifier: Apache-2.0
"""Set-up of a checkout: it runs on a bare Python, and does nothing where nothing has changed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from cumulet.setup import environment, packages

ROOT = Path(__file__).parents[2]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    seen: list[list[str]] = []

    def run(argv: Sequence[Any], **_: object) -> None:
        words = [str(word) for word in argv]
        seen.append(words)
        if "venv" in words:
            (Path(words[-1]) / "bin").mkdir(parents=True)
            (Path(words[-1]) / "bin" / "pip").touch()

    monkeypatch.setattr(environment, "run", run)
    return seen


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    return tmp_path


def test_needs_nothing_but_python() -> None:
    argv = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        "import sys; sys.path.insert(0, sys.argv[1]); import cumulet.setup.__main__",
    ]
    done = subprocess.run([*argv, str(ROOT / "src")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_a_second_time_does_nothing(project: Path, commands: list[list[str]]) -> None:
    folder = project / ".venv"
    assert environment.prepare(project, folder, ["test"], ["client"])
    assert commands[-1][-4:] == ["-e", f"{project}[client]", "--group", f"{project}/pyproject.toml:test"]
    commands.clear()
    assert not environment.prepare(project, folder, ["test"], ["client"])
    assert not environment.prepare(project, folder, [], [])
    assert commands == []


def test_what_was_asked_for_earlier_is_kept_up_to_date(project: Path, commands: list[list[str]]) -> None:
    folder = project / ".venv"
    environment.prepare(project, folder, ["test"], [])
    assert environment.prepare(project, folder, [], ["client"])
    assert f"{project}/pyproject.toml:test" in commands[-1]
    (project / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert environment.prepare(project, folder, [], [])
    assert commands[-1][-2:] == ["-e", str(project)]


def test_a_python_without_ensurepip(
    project: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wheels = tmp_path / "wheels"
    installed: list[str] = []

    def install(wanted: Sequence[packages.Package]) -> None:
        installed.extend(each.name for each in wanted)
        wheels.mkdir()
        (wheels / "pip-23.0.1-py3-none-any.whl").touch()

    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(packages, "WHEELS", wheels)
    monkeypatch.setattr(packages, "install", install)
    environment.prepare(project, project / ".venv", [], [])
    assert installed == ["python3-pip-whl"]
    assert "--without-pip" in commands[0]
    assert commands[1][1].endswith("pip-23.0.1-py3-none-any.whl/pip")


def test_a_failed_installation_is_tried_again(
    project: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(argv: Sequence[Any], **_: object) -> None:
        raise environment.CommandFailed(["pip"], 1, "no network")

    with monkeypatch.context() as patch:
        patch.setattr(environment, "run", fail)
        with pytest.raises(packages.SetupFailed, match="no network"):
            environment.prepare(project, project / ".venv", [], [])
    assert environment.prepare(project, project / ".venv", [], [])


def test_what_only_tests_lean_on_is_not_the_cloud_s() -> None:
    cloud = {package.name for package in packages.wanted()}
    tests = {package.name for package in packages.wanted("tests")}
    assert not cloud & tests
    assert {"slapd", "postgresql"} <= tests
    assert {package.name for package in packages.wanted("cloud", "tests")} == cloud | tests
