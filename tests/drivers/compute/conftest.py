# SPDX-License-Identifier: Apache-2.0
"""One hypervisor of each driver, for the one suite."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from compute_lab import LabSupplies

from cumulet.kernel.link.host import Journal
from cumulet.kernel.loop import Loop
from cumulet.services.compute.drivers.base import Hypervisor
from cumulet.services.compute.drivers.fake import FakeHypervisor
from cumulet.services.compute.drivers.libvirt.driver import LibvirtHypervisor
from cumulet.services.compute.drivers.qemu.driver import QemuHypervisor
from support.libvirtd import Daemon, daemon

# What of the suite is run on libvirt each time; `make libvirt` runs all of it.
ON_LIBVIRT = (
    "test_twice_is_once", "test_hot_plugged_disk", "test_hot_plugged_port", "test_an_end_that_nobody_asked_for_is_told",
    "test_suspend_and_go_on", "test_a_server_is_seen_and_spoken_to", "test_copy_of_a_disk",
    "test_servers_outlive_the_agent", "test_a_server_without_room_for_its_writes_is_held",
    "test_what_a_guest_was_told_to_be_written_is_synced", "test_volumes_over_iscsi",
)  # fmt: skip
LONG_ON_LIBVIRT = (
    "test_old_hardware", "test_domains_of_others_are_left_alone", "test_the_doctor_starts_a_domain",
    "test_a_host_that_changes_its_driver_keeps_its_servers",
)  # fmt: skip


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if os.environ.get("LIBVIRT") == "all":
        return
    left_out = [item for item in items if _is_long(item)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _is_long(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    if item.path.name == "test_libvirt_guests.py":
        return item.name in LONG_ON_LIBVIRT
    is_on_libvirt = call is not None and "libvirt" in (call.params.get("hypervisor"), call.params.get("lab"))
    return is_on_libvirt and getattr(item, "originalname", item.name) not in ON_LIBVIRT


@pytest.fixture
def supplies(tmp_path: Path) -> LabSupplies:
    folder = tmp_path / "supplies"
    folder.mkdir()
    return LabSupplies(folder)


@pytest.fixture
def stopped() -> list[tuple[str, str]]:
    """The ends of servers that were told."""
    return []


@pytest.fixture(scope="session")
def libvirtd() -> Iterator[Daemon]:
    with daemon() as running:
        yield running


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose name is short enough for sockets that libvirt makes in it."""
    with tempfile.TemporaryDirectory(prefix="servers-") as folder:
        yield Path(folder)


@pytest.fixture(params=["fake", "qemu", "libvirt"])
def hypervisor(request, tmp_path, supplies, stopped) -> Iterator[Hypervisor]:
    def tell(server_id: str, reason: str) -> None:
        stopped.append((server_id, reason))

    loop = Loop()
    if request.param == "fake":
        driver: Hypervisor = FakeHypervisor(Journal(tmp_path / "fake"), supplies, tell)
    elif request.param == "libvirt":
        folder = request.getfixturevalue("short_path")
        (tmp_path / "qemu").symlink_to(folder)
        uri = request.getfixturevalue("libvirtd").uri
        driver = LibvirtHypervisor(folder, supplies, tell, uri=uri, accelerator="tcg")
    else:
        driver = QemuHypervisor(tmp_path / "qemu", loop, supplies, tell, accelerator="tcg")
    yield driver
    for server_id in driver.list():
        driver.destroy(server_id)
    driver.close()
    loop.close()
