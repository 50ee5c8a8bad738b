# SPDX-License-Identifier: Apache-2.0
"""`cumulet ingress` on a running cloud: the agent keeps the table."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from cumulet import cli
from support.cloud import RunningCloud


def test_a_port_leads_in_until_it_is_taken_back(cloud: RunningCloud, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--state", str(cloud.settings.state), "ingress"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = f"127.0.0.1:{listener.getsockname()[1]}"
        assert cli.main([*flags, "add", taken, "172.24.4.21:22"]) == 1
        assert capsys.readouterr().err == f"cumulet: {taken} cannot be listened on: Address already in use.\n"
    assert cli.main([*flags, "add", taken, "172.24.4.21:22"]) == 0
    assert cli.main(flags) == 0
    assert capsys.readouterr().out == f"{taken} -> 172.24.4.21:22\n" * 2
    assert cli.main([*flags, "remove", taken]) == 0
    assert cli.main([*flags, "list"]) == 0
    assert capsys.readouterr().out == ""


def test_without_an_agent_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--state", str(tmp_path), "ingress"]) == 1
    assert "does the cloud run?" in capsys.readouterr().err
