# SPDX-License-Identifier: Apache-2.0
"""The commands themselves: their arguments, what they load, what they refuse."""

from __future__ import annotations

import importlib
import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cumulet import cli
from cumulet.cli import credentials, down, guest, parts, seed, show, status, up, verify
from cumulet.kernel import lock
from cumulet.kernel.secrets import Secrets
from cumulet.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(state=tmp_path / "state", cache=tmp_path / "cache")


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No settings from the environment of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("CUMULET_")]:
        monkeypatch.delenv(name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys; from cumulet.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'msgspec', 'sqlalchemy', 'asyncio', 'uvicorn', 'openstack', 'cryptography'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_is_there(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"cumulet.cli.{name.replace(chr(45), chr(95))}")
    assert callable(module.run)
    with pytest.raises(SystemExit) as ending:
        cli.main([name, "--help"])
    assert ending.value.code == 0
    assert f"cumulet {name}" in capsys.readouterr().out


@pytest.mark.usefixtures("quiet")
def test_wrong_settings_end_with_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--state", str(tmp_path), "--set", "control.prot=1", "status"]) == 2
    assert "did you mean control.port?" in capsys.readouterr().err


def test_flags_reach_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[cli.Call] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(status, "run", lambda call: seen.append(call) or 0)
    Path("c.toml").write_text('region = "R"\n')
    assert cli.main(["--config", "c.toml", "--state", "s", "--set", "threads=2", "status"]) == 0
    assert seen[0].flags == ("--set", "threads=2", "--config", str(tmp_path / "c.toml"), "--state", str(tmp_path / "s"))
    assert (seen[0].settings.region, seen[0].settings.threads) == ("R", 2)
    assert parts.command(seen[0].flags, "serve")[-1] == "serve"


@pytest.mark.usefixtures("quiet")
def test_status_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--state", str(tmp_path), "--set", f"control.port={free_port()}", "status"]
    assert cli.main([*words, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["ready"] is False
    assert {part["name"]: part["state"] for part in found["parts"]} == dict.fromkeys(
        ("control", "agent", "data", "objects"), "stopped"
    )
    without = ["--set", "object_store.enabled=false", *words, "--json"]
    assert cli.main(without) == 1
    found = json.loads(capsys.readouterr().out)
    assert [part["name"] for part in found["parts"]] == ["control", "agent", "data"]
    journal = tmp_path / "agent" / "journal" / "servers"
    journal.mkdir(parents=True)
    (journal / "a.mp").touch()
    assert cli.main(words) == 1
    out = capsys.readouterr().out
    assert "not ready" in out
    assert "servers 1" in out


@pytest.mark.usefixtures("quiet")
def test_down_and_reset_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "none"
    assert cli.main(["--state", str(state), "down"]) == 0
    assert cli.main(["--state", str(state), "reset", "--yes"]) == 0
    assert not state.exists()
    assert "There is no" in capsys.readouterr().out


@pytest.mark.usefixtures("quiet")
def test_reset_spares_what_is_not_a_state_directory(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    assert cli.main(["--state", str(tmp_path), "reset", "--yes"]) == 1
    assert (tmp_path / "thesis.txt").exists()


@pytest.mark.usefixtures("quiet")
def test_reset_asks_and_keeps_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cumulet.db").touch()
    (tmp_path / "images").mkdir()
    (tmp_path / "cumulet.toml").write_text("threads = 2\n")
    monkeypatch.setattr(down, "stop", lambda call, *, at_once: None)
    monkeypatch.setattr(sys, "stdin", open(os.devnull))  # noqa: SIM115, PTH123
    assert cli.main(["--state", str(tmp_path), "reset"]) == 1
    assert (tmp_path / "cumulet.db").exists()
    assert cli.main(["--state", str(tmp_path), "reset", "--yes"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["cumulet.toml"]


def test_down_ends_a_part_that_was_started_by_hand(settings: Settings) -> None:
    path = parts.lock_path(settings, "data")
    code = (
        f"import time; from pathlib import Path; from cumulet.kernel import lock\n"
        f"with lock.hold(Path({str(path)!r})): print(1, flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    assert down._stop_parts(settings)
    process.communicate(timeout=60)
    assert lock.owner(path) is None
    assert not down._stop_parts(settings)


def test_credentials(settings: Settings) -> None:
    with pytest.raises(credentials.NoCredentials):
        credentials.write(settings)
    password = Secrets(settings.state).get_or_make("admin_password")
    assert Secrets(settings.state).get_or_make("admin_password") == password
    credentials.write(settings)
    clouds = credentials.clouds_path(settings)
    auth = json.loads(clouds.read_text())["clouds"]["cumulet"]["auth"]
    assert (auth["password"], auth["auth_url"]) == (password, "http://127.0.0.1:8700/identity/v3")
    openrc = credentials.openrc_path(settings)
    shell = f". {openrc}; printf %s:%s:%s $OS_USERNAME $OS_PASSWORD $OS_IDENTITY_API_VERSION"
    done = subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=10)
    assert done.stdout == f"admin:{password}:3"
    for path in (clouds, openrc, settings.state / "secrets.toml"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = clouds.stat().st_ino
    credentials.write(settings)
    assert clouds.stat().st_ino == before


@pytest.mark.filterwarnings("ignore:Support for InfluxDB")
def test_the_sdk_reads_our_clouds_yaml(settings: Settings) -> None:
    Secrets(settings.state).get_or_make("admin_password")
    credentials.write(settings)
    with seed.connect(settings) as cloud:
        assert cloud.config.get_auth_args()["project_name"] == "admin"
    with seed.connect(settings, credentials.SYSTEM_CLOUD) as cloud:
        assert cloud.config.get_auth_args()["system_scope"] == "all"


def test_last_words(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    assert "is not there" in up.last_words(log)
    log.write_text("".join(f"line {number}\n" for number in range(40)))
    assert up.last_words(log).splitlines()[0] == "  line 25"


def test_an_image_of_ones_own(settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "own.qcow2"
    mine = Settings(state=settings.state, image=type(settings.image)(guest=str(own)))
    phase = show.Phase()
    assert guest.find_or_build(mine, phase) is None
    assert "gets no image" in phase.detail
    own.touch()
    assert guest.find_or_build(mine, phase) == own
    assert guest.place(settings) == settings.cache / "guest.qcow2"


def test_verify_makes_its_key_once(settings: Settings) -> None:
    path = verify.key_path(settings)
    public = verify._key(path)
    assert public.startswith("ssh-ed25519 ")
    assert verify._key(path) == public
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    done = subprocess.run(["ssh-keygen", "-y", "-f", path], capture_output=True, text=True, timeout=10)
    assert done.stdout.split()[:2] == public.split()[:2]


def test_phases_and_tables(capsys: pytest.CaptureFixture[str]) -> None:
    phases = show.Phases(sys.stdout)
    with phases.phase("first") as phase:
        phase.detail = "done"
    with pytest.raises(KeyError), phases.phase("second"):
        raise KeyError
    first, second = capsys.readouterr().out.splitlines()
    assert first.split() == ["first", "0.0", "s", "done"]
    assert second.endswith("failed")
    assert show.table(("a", "bb"), [("ccc", "d")]) == "a    bb\nccc  d"
    assert (show.size(None), show.size(3 * 1048576)) == ("-", "3 MiB")
