# SPDX-License-Identifier: Apache-2.0
"""The probes of the machine, and the table that shows what probes found."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from cumulet import cli
from cumulet.cli import doctor, parts
from cumulet.kernel import lock
from cumulet.kernel.doctor import Finding, Probe, examine
from cumulet.settings import Settings
from cumulet.settings.processes import Listen
from cumulet.setup import packages, probes


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path / "state")


def test_a_probe_that_fails_has_found_something_missing() -> None:
    finding = examine(Probe("x", lambda: Finding("ok", str(1 // 0))))
    assert finding.status == "missing"
    assert "ZeroDivisionError" in finding.detail


def test_ports(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = Listen(port=taken.getsockname()[1])
        finding = probes.port(settings, "control", listen)
        assert (finding.status, "control.port" in finding.remedy) == ("missing", True)
        with lock.hold(parts.lock_path(settings, "control")):
            assert probes.port(settings, "control", listen).status == "ok"
    assert probes.port(settings, "control", listen).status == "ok"


def test_state_directory_and_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "can be made" in probes.state_directory(tmp_path / "a" / "b").detail
    assert not (tmp_path / "a").exists()
    assert probes.state_directory(Path("/proc/x")).status == "missing"
    for free, status in ((10**12, "ok"), (5 * 10**9, "degraded"), (10**8, "missing")):
        monkeypatch.setattr(probes.shutil, "disk_usage", lambda _, free=free: type("Usage", (), {"free": free}))
        assert probes.disk_space(tmp_path / "x").status == status


def test_tun(tmp_path: Path) -> None:
    assert "mknod" in probes.tun(tmp_path / "none").remedy
    (tmp_path / "file").touch()
    assert "no" in probes.tun(tmp_path / "file").detail


def test_packages_are_named_with_their_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    absent = packages.Package("absent-package", "no-such-program", "to be missed")
    there = packages.Package("shell", "sh", "always there")
    library = packages.Package("c", "libc.so.6", "always there")
    assert packages.missing([absent, there, library]) == [absent]
    monkeypatch.setattr(packages, "wanted", lambda: [absent, there])
    finding = probes.debian_packages()
    assert finding.detail == "absent-package (to be missed)"
    assert finding.remedy.endswith("apt-get install --no-install-recommends absent-package")


def test_install_fetches_lists_only_when_it_must(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def apt(*words: str) -> None:
        calls.append(words[0])
        if words[0] == "install" and len(calls) < trouble:
            raise packages.CommandFailed(words, 100, "not found")

    monkeypatch.setattr(packages, "_apt", apt)
    monkeypatch.setattr(packages, "LISTS", tmp_path)
    monkeypatch.setattr(packages.os, "geteuid", lambda: 0)
    monkeypatch.setattr(packages.shutil, "which", lambda name: name)
    wanted = [packages.Package("a", "a", "")]
    packages.install([])
    assert calls == []
    trouble = 0
    packages.install(wanted)
    assert calls == ["update", "install"]
    (tmp_path / "x_Packages.lz4").touch()
    calls.clear()
    packages.install(wanted)
    assert calls == ["install"]
    calls.clear()
    trouble = 2
    packages.install(wanted)
    assert calls == ["install", "update", "install"]
    calls.clear()
    trouble = 9
    with pytest.raises(packages.SetupFailed):
        packages.install(wanted)
    monkeypatch.setattr(packages.os, "geteuid", lambda: 1000)
    with pytest.raises(packages.SetupFailed, match="sudo apt-get install"):
        packages.install(wanted)


def test_the_list_is_complete() -> None:
    wanted = packages.wanted()
    assert all(each.name and each.needs and each.reason for each in wanted)
    assert len({each.name for each in wanted}) == len(wanted)


def test_table_and_exit_status(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    found = [("one", Finding("ok", "fine", "never")), ("two", Finding("degraded", "slow", "hurry"))]
    monkeypatch.setattr(doctor, "diagnose", lambda settings: found)
    assert cli.main(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "hurry" in out
    assert "never" not in out
    found.append(("three", Finding("missing", "gone")))
    assert cli.main(["doctor", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[2] == {
        "name": "three",
        "status": "missing",
        "detail": "gone",
        "remedy": "",
    }
