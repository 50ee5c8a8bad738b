# SPDX-License-Identifier: Apache-2.0
"""The kernel fabric for an ordinary user: the same suite in a user namespace, where root is root of nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SUITES = ("test_fabric.py", "test_network_dual_stack.py")
# Namespaces' names go to a place of its own, as they do for a user who may not write to /run.
SCRIPT = """
mount -t tmpfs tmpfs /run && mkdir /run/netns && exec "$@"
"""


@pytest.mark.root
def test_all_of_it_works_without_the_hosts_root(tmp_path: Path):
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh", sys.executable, "-m", "pytest"]
    argv += ["-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "inside"), "-k", "not fake"]
    argv += [str(HERE / name) for name in SUITES]
    done = subprocess.run(argv, cwd=HERE, env=_environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]
    assert " passed" in done.stdout or "[100%]" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.root
def test_tags_need_the_kernels_devices_there():
    """Packet programs are refused to users: nothing is offered that could not be carried."""
    ask = "import json; from cumulet.services.network.drivers.fabric.probe import probe as found\n"
    ask += "said = found(egress=False); print(json.dumps([said.tags, said.network_types, said.missing.get('tags')]))"
    argv = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh", sys.executable, "-c", ask]
    done = subprocess.run(argv, env=_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    tags, kinds, why = json.loads(done.stdout)
    assert tags in ("8021q", "")
    assert kinds == (["vlan"] if tags else [])
    assert tags or ("8021q" in why and "bpf: [Errno 1]" in why)


def _environment() -> dict[str, str]:
    """Without what ties it to the run that it is part of."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
