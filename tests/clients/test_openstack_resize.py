# SPDX-License-Identifier: Apache-2.0
"""What users type to resize servers and to move them: the unmodified `openstack` command, with fake drivers."""

from __future__ import annotations

import pytest

from clients.openstack_command import CommandFailed, OpenStackCommand
from support.waiting import until

pytestmark = pytest.mark.clients

NEW = "--os-compute-api-version 2.95"


def status_is(openstack: OpenStackCommand, server: str, status: str) -> None:
    until(lambda: openstack(f"server show {server}")["status"] == status)


def said(openstack: OpenStackCommand, line: str) -> str:
    """How the command fails."""
    with pytest.raises(CommandFailed) as found:
        openstack.text(line)
    return str(found.value)


def test_server_resize_and_migrate(openstack: OpenStackCommand, server: str) -> None:
    large = openstack("flavor create --vcpus 2 --ram 256 --disk 2 cli-large")["id"]
    openstack.text(f"server resize --flavor cli-large {server}")
    status_is(openstack, server, "VERIFY_RESIZE")
    openstack.text(f"server resize revert {server}")
    status_is(openstack, server, "ACTIVE")
    openstack.text(f"server resize --flavor {large} --wait {server}")
    openstack.text(f"server resize confirm {server}")
    status_is(openstack, server, "ACTIVE")
    assert openstack(f"server show {server}")["flavor"]["ram"] == 256
    openstack.text(f"server migrate {server}")
    assert "No valid host was found" in said(openstack, f"server migrate --live-migration {server}")
    rows = openstack(f"{NEW} server migration list --server {server}")
    assert [(row["Type"], row["Status"]) for row in rows] == [
        ("live-migration", "error"),
        ("migration", "error"),
        ("resize", "confirmed"),
        ("resize", "reverted"),
    ]
    number = rows[0]["Id"]
    assert "No ServerMigration" in said(openstack, f"{NEW} server migration show {server} {number}")
    for what in ("abort", "force complete"):
        assert "is in an invalid state for" in said(openstack, f"{NEW} server migration {what} {server} {number}")
    openstack.text(f"flavor delete {large}")
