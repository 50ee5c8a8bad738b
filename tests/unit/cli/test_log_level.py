# SPDX-License-Identifier: Apache-2.0
"""`cumulet log-level` on a running cloud: every part is reached, the agent too."""

from __future__ import annotations

import logging

import pytest

from cumulet import cli
from support.cloud import RunningCloud


@pytest.fixture
def flags(cloud: RunningCloud) -> list[str]:
    return ["--state", str(cloud.settings.state)]


def test_every_part_is_turned_and_turned_back(
    cloud: RunningCloud, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    name = "cumulet.test.turned"
    cloud.objects_url()
    assert cli.main([*flags, "log-level", name, "debug"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == ["agent-host-1", "control", "data", "objects"]
    assert all(f"{name}=debug" in line for line in lines)
    assert logging.getLogger(name).isEnabledFor(logging.DEBUG)
    assert cli.main([*flags, "log-level", name, "reset"]) == 0
    assert logging.getLogger(name).level == logging.NOTSET
    capsys.readouterr()
    assert cli.main([*flags, "log-level", "--part", "agent"]) == 0
    assert capsys.readouterr().out == "agent-host-1: root=info\n"


def test_a_level_is_needed(flags: list[str]) -> None:
    assert cli.main([*flags, "log-level", "cumulet"]) == 2


def test_a_cloud_that_does_not_run_is_told(tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--state", str(tmp_path), "log-level"]) == 1
    assert "no part answers" in capsys.readouterr().err
