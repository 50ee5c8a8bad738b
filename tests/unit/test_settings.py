# SPDX-License-Identifier: Apache-2.0
"""Settings: their sources, their order, and what a mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from cumulet.settings import Settings, SettingsError, known_names, load


def test_defaults(tmp_path: Path) -> None:
    settings = load(environ={"CUMULET_STATE": str(tmp_path)})
    assert settings.state == tmp_path
    assert settings.run == tmp_path / "run"
    assert (settings.control.port, settings.data.port) == (8700, 8701)
    assert settings.control_url == "http://127.0.0.1:8700"
    assert settings.network.external_cidr == "172.24.4.0/24"
    assert settings.host


def test_later_sources_win(tmp_path: Path) -> None:
    (tmp_path / "cumulet.toml").write_text('region = "North"\nthreads = 2\n[control]\nport = 1000\nhost = "::1"\n')
    environ = {"CUMULET_STATE": str(tmp_path), "CUMULET_CONTROL__PORT": "2000", "CUMULET_THREADS": "3"}
    settings = load(environ=environ, overrides={"control.port": "3000"})
    assert (settings.region, settings.threads, settings.control.port) == ("North", 3, 3000)
    assert settings.control_url == "http://[::1]:3000"


def test_named_file_and_relative_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "other.toml"
    file.write_text('run = "sockets"\n[compute]\ndriver = "fake"\n')
    settings = load(file, environ={}, overrides={"state": "here"})
    assert settings.state == tmp_path / "here"
    assert settings.run == tmp_path / "sockets"
    assert settings.compute.driver == "fake"
    assert load(environ={"CUMULET_CONFIG": str(file), "CUMULET_STATE": "x"}).compute.driver == "fake"


def test_state_may_stand_in_the_file(tmp_path: Path) -> None:
    file = tmp_path / "cumulet.toml"
    file.write_text(f'state = "{tmp_path}/elsewhere"\n')
    assert load(file, environ={}).state == tmp_path / "elsewhere"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[compute]\nacelerator = 'kvm'\n", "no setting compute.acelerator; did you mean compute.accelerator?"),
        ("[control]\nport = 'x'\n", "control.port: Expected `int`"),
        ("[control]\nport = 70000\n", "control.port: Expected `int` <= 65535"),
        ("[compute]\ndriver = 'xen'\n", "compute.driver: Invalid enum value 'xen'"),
        ("region = \n", "cumulet.toml"),
        ("control = 3\n", "no setting control"),
        ("threads = 0\n", "threads: Expected `int` >= 1"),
        ("policy_dir = ''\n", "policy_dir: expected a path"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "cumulet.toml"
    file.write_text(text)
    with pytest.raises(SettingsError) as refusal:
        load(environ={"CUMULET_STATE": str(tmp_path)})
    assert words in str(refusal.value)
    assert str(file) in str(refusal.value)


def test_every_unknown_name_is_reported_with_its_source(tmp_path: Path) -> None:
    environ = {"CUMULET_STATE": str(tmp_path), "CUMULET_REGOIN": "x", "CUMULET_FAULTS": "1"}
    with pytest.raises(SettingsError) as refusal:
        load(environ=environ, overrides={"no.such": "1"})
    first, second = refusal.value.problems
    assert first == "CUMULET_REGOIN: there is no setting regoin; did you mean region?"
    assert second.startswith("--set no.such: there is no setting no.such")


def test_missing_named_file(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="is not there"):
        load(tmp_path / "none.toml", environ={})


def test_known_names_are_leaves() -> None:
    names = known_names()
    assert "control.port" in names
    assert "block_storage.driver" in names
    assert "control" not in names
    assert Settings(state=Path("/x")).run == Path("/x/run")


def test_every_setting_is_described() -> None:
    page = (Path(__file__).parents[2] / "docs" / "operate" / "settings.md").read_text()
    assert [name for name in known_names() if f"`{name}`" not in page] == []
