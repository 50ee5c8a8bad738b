# SPDX-License-Identifier: Apache-2.0
"""A running process's door: who may open it, what it answers, what becomes of errors."""

from __future__ import annotations

import json
import logging
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel import door, log
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.loop import Loop


def refuse(_words: dict[str, Any]) -> Any:
    raise Conflict("not now")


def break_down(_words: dict[str, Any]) -> Any:
    raise ZeroDivisionError("a bug")


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    loop = Loop()
    opened = door.Door(loop, tmp_path / "x.door", {"echo": lambda words: words, "no": refuse, "bug": break_down})
    opened.open()
    yield tmp_path / "x.door"
    opened.close()
    loop.close()


def test_it_answers_its_owner_alone(path: Path) -> None:
    assert door.ask(path, "echo", a=1, b=[Path("/x")]) == {"a": 1, "b": ["/x"]}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_refusals_and_bugs_are_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(door.DoorError, match="not now"):
        door.ask(path, "no")
    with pytest.raises(door.DoorError, match="ZeroDivisionError"):
        door.ask(path, "bug")
    with pytest.raises(door.DoorError, match="no such verb"):
        door.ask(path, "unheard")


@pytest.mark.parametrize("line", [b"x\n", b"[]\n", b"7\n", b'{"verb": []}\n', b"{}\n"])
def test_nonsense_is_refused(path: Path, line: bytes) -> None:
    with socket.socket(socket.AF_UNIX) as asking:
        asking.settimeout(20)
        asking.connect(str(path))
        asking.sendall(line)
        assert "error" in json.loads(asking.makefile("rb").readline())


def test_a_door_that_is_closed_is_not_ready(tmp_path: Path) -> None:
    with pytest.raises(NotReady):
        door.ask(tmp_path / "none.door", "echo")


def test_a_door_that_a_crash_left_is_replaced(tmp_path: Path) -> None:
    left = tmp_path / "x.door"
    with socket.socket(socket.AF_UNIX) as crashed:
        crashed.bind(str(left))
    loop = Loop()
    opened = door.Door(loop, left, {"echo": lambda words: words})
    opened.open()
    assert door.ask(left, "echo", a=1) == {"a": 1}
    opened.close()
    assert not left.exists()
    loop.close()


def test_levels_are_turned_and_turned_back() -> None:
    levels = log.Levels("info")
    name = "cumulet.test.noisy"
    assert levels.turn({"logger": name, "level": "debug"}) == {"root": "info", name: "debug"}
    assert logging.getLogger(name).isEnabledFor(logging.DEBUG)
    assert levels.turn({}) == {"root": "info", name: "debug"}
    assert levels.turn({"logger": name, "level": "reset"}) == {"root": "info"}
    assert logging.getLogger(name).level == logging.NOTSET
    with pytest.raises(Exception, match="no such log level"):
        levels.turn({"logger": name, "level": "loud"})
