# SPDX-License-Identifier: Apache-2.0
"""One hypervisor of each driver, for the one suite."""

from __future__ import annotations

from pathlib import Path

import pytest
from compute_lab import LabSupplies

from cumulet.kernel.link.host import Journal
from cumulet.kernel.loop import Loop
from cumulet.services.compute.drivers.base import Hypervisor
from cumulet.services.compute.drivers.fake import FakeHypervisor
from cumulet.services.compute.drivers.qemu.driver import QemuHypervisor


@pytest.fixture
def supplies(tmp_path: Path) -> LabSupplies:
    folder = tmp_path / "supplies"
    folder.mkdir()
    return LabSupplies(folder)


@pytest.fixture
def stopped() -> list[tuple[str, str]]:
    """The ends of servers that were told."""
    return []


@pytest.fixture(params=["fake", "qemu"])
def hypervisor(request, tmp_path, supplies, stopped) -> Hypervisor:
    def tell(server_id: str, reason: str) -> None:
        stopped.append((server_id, reason))

    loop = Loop()
    if request.param == "fake":
        driver: Hypervisor = FakeHypervisor(Journal(tmp_path / "fake"), supplies, tell)
    else:
        driver = QemuHypervisor(tmp_path / "qemu", loop, supplies, tell, accelerator="tcg")
    yield driver
    for server_id in driver.list():
        driver.destroy(server_id)
    driver.close()
    loop.close()
