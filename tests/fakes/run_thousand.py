# SPDX-License-Identifier: Apache-2.0
"""`make hosts`: a control plane, a thousand fake hosts in a process of their own, and how long they take.

What is measured: all hosts join from nothing; servers made by one request, and how they spread; all hosts come back
after the control plane was started anew; memory, threads and processor time. The figures go to standard output.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from cumulet.fake_hosts import name_of
from fakes.hosts import Tenant
from support.cloud import FAKES, RunningCloud
from support.waiting import until

LONG = 600.0  # seconds that any part may take


def main() -> int:
    """Run it all; the exit status says whether everything came about."""
    parser = argparse.ArgumentParser(description="measure a cloud of many fake hosts")
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--servers", type=int, default=100)
    words = parser.parse_args()
    state = Path(tempfile.mkdtemp(prefix="cml-"))
    cloud = RunningCloud(state)
    many = start(cloud, words.hosts)
    try:
        tell("all hosts joined", joined(cloud, words.hosts), f"s for {words.hosts}")
        weigh("process of the hosts", many.pid, words.hosts)
        weigh("control plane and data process", os.getpid(), words.hosts)
        seconds, load = boot(cloud, words.servers)
        tell("servers made by one request", seconds, f"s for {words.servers}")
        tell("hosts that took them", len(load), f"of {words.hosts + 1}; at most {max(load.values())} each")
        cloud.close()
        cloud = RunningCloud(state)
        tell("all back after a restart of the control plane", joined(cloud, words.hosts), "s")
    finally:
        many.send_signal(signal.SIGTERM)
        many.wait(60)
        cloud.close()
    shutil.rmtree(state)
    return 0


def start(cloud: RunningCloud, count: int) -> subprocess.Popen[bytes]:
    """The process of all fake hosts."""
    argv = [sys.executable, "-m", "cumulet.cli"]
    for name, value in {"state": str(cloud.settings.state), **FAKES}.items():
        argv += ["--set", f"{name}={value}"]
    with (cloud.settings.state / "fake-hosts.log").open("ab") as sink:
        words = [*argv, "agent", "--fake-hosts", str(count)]
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)


def joined(cloud: RunningCloud, count: int) -> float:
    """Wait for all hosts; the seconds."""
    wanted = {name_of(number) for number in range(1, count + 1)}
    begin = time.monotonic()
    until(lambda: wanted <= {host.name for host in cloud.control.hosts.connected()}, LONG)
    return time.monotonic() - begin


def boot(cloud: RunningCloud, count: int) -> tuple[float, Counter[str]]:
    """Have servers made by one request; the seconds until all run, and how many each host got."""
    tenant = Tenant(cloud)
    quota = {"quota_set": {"instances": -1, "cores": -1, "ram": -1}}
    tenant.admin("PUT", f"/compute/v2.1/os-quota-sets/{tenant.admin_project}", quota)
    wanted = {"name": "many", "flavorRef": tenant.flavor, "imageRef": tenant.image, "networks": "none"}
    begin = time.monotonic()
    body = {"server": {**wanted, "min_count": count, "max_count": count}}
    tenant.admin("POST", "/compute/v2.1/servers", body)

    def running() -> list[dict[str, Any]] | None:
        found: list[dict[str, Any]] = tenant.admin("GET", "/compute/v2.1/servers/detail?name=many")["servers"]
        assert not [each for each in found if each["status"] == "ERROR"], "a server failed"
        return found if len(found) == count and all(each["status"] == "ACTIVE" for each in found) else None

    found = until(running, LONG)
    return time.monotonic() - begin, Counter(each["OS-EXT-SRV-ATTR:host"] for each in found)


def weigh(what: str, pid: int, count: int) -> None:
    """Print a process's memory, threads and processor time."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    memory = int(status["VmRSS"].split()[0])
    spent = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    seconds = (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")
    threads = status["Threads"].strip()
    tell(what, memory / 1024, f"MiB ({memory // count} KiB a host), {threads} threads, {seconds:.1f} s of a processor")


def tell(what: str, value: float, unit: str) -> None:
    print(f"| {what} | {value:.1f} {unit} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
