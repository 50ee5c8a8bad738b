# SPDX-License-Identifier: Apache-2.0
"""A cloud with fifty fake hosts in one process."""

from __future__ import annotations

import gc
import threading
import time
from pathlib import Path

from cumulet.fake_hosts import FakeHosts, name_of
from fakes.hosts import Tenant
from support.cloud import RunningCloud
from support.waiting import until

COUNT = 50
JOIN_TIME = 60.0  # seconds until all must have joined, on a busy machine


def resident() -> float:
    """This process's memory, in MiB."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / (1 << 20)


class Crowd:
    """A cloud with fifty hosts beside its own."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud = cloud
        self.tenant = Tenant(cloud)
        memory, threads = resident(), threading.active_count()
        self.hosts = FakeHosts(cloud.settings, COUNT)
        begin = time.monotonic()
        self.hosts.start()
        until(self.all_joined, JOIN_TIME)
        self.join_time = time.monotonic() - begin
        self.memory = (resident() - memory) / COUNT
        self.threads = threading.active_count() - threads

    def joined(self) -> set[str]:
        return {host.name for host in self.cloud.control.hosts.connected()}

    def all_joined(self) -> bool:
        return {name_of(number) for number in range(1, COUNT + 1)} <= self.joined()

    def hypervisors(self) -> set[str]:
        found = self.tenant.admin("GET", "/compute/v2.1/os-hypervisors")["hypervisors"]
        return {each["hypervisor_hostname"] for each in found if each["state"] == "up"}
