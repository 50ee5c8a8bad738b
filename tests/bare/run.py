# SPDX-License-Identifier: Apache-2.0
"""`make bare`: README's commands in a Debian with only git, make and Python 3.11, on a clone of this checkout's HEAD.

That machine is a root file system in mount and process namespaces of its own: whatever is left running or mounted ends
with it. Its network is this machine's, for the package registries. Runs with any Python 3.11, as root, with
debootstrap; what came out is told in `docs/bare-machine.md`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "bare-machine.md"
SYSTEM = ROOT / ".make" / "bare.tar"  # what debootstrap fetched, so that it is fetched once
DEBOOTSTRAP = ("debootstrap", "--variant=minbase", "--include=git,make,python3.11,ca-certificates")
CHECKOUT = "/root/cumulet"
STEP_TIMEOUT = 3600  # seconds
# How this machine reaches the registries is passed on; nothing else of it.
VARIABLES = re.compile(r"(https?|no)_proxy|PIP_CERT|PIP_INDEX_URL|SSL_CERT_FILE|REQUESTS_CA_BUNDLE", re.IGNORECASE)
FILES = ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt", "/etc/apt/apt.conf.d")
# The machine's first process; it also reaps what others leave.
INIT = """
set -e
mount --make-rprivate /
mount --bind "$0" "$0"  # as on any machine, the root is a mount
mount --rbind /dev "$0/dev"; mount --rbind /sys "$0/sys"; mount -t proc proc "$0/proc"
mount -t tmpfs tmpfs "$0/run"; mount -t tmpfs tmpfs "$0/tmp"
mkdir "$0/before"
cd "$0"
pivot_root . before  # who is in another root than the machine's is given no user namespaces
umount -l /before
rmdir /before
echo ready
while sleep 1; do :; done
"""
# What `make up` says to try.
CLIENT = """
export OS_CLIENT_CONFIG_FILE=/var/lib/cumulet/clouds.yaml OS_CLOUD=cumulet PATH=$PWD/.venv/bin:$PATH
openstack server create --wait --image cumulet --flavor m1.micro --network private --key-name cumulet \
    --security-group ssh one
address=$(openstack floating ip create -f value -c floating_ip_address public)
openstack server add floating ip one $address
until ssh -i /var/lib/cumulet/ssh/cumulet -o StrictHostKeyChecking=no -o ConnectTimeout=5 cirros@$address uname -n
do sleep 1; done
"""
LEFT = """
! grep -aE '[q]emu|[c]umulet|[p]asta' /proc/[0-9]*/cmdline
ls /sys/class/net | diff /tmp/devices -
"""


class Step(NamedTuple):
    """What a user does, and what must be seen for it to have passed."""

    name: str
    command: str
    shows: str = ""  # regular expression


class Outcome(NamedTuple):
    """What came of a step."""

    step: Step
    passed: bool
    seconds: float
    detail: str


STEPS = (
    Step("nothing of it is there yet", "! command -v pip3 qemu-img nft ssh && ls /sys/class/net > /tmp/devices"),
    Step("`make up`", "make up", r"(?m)^A server answered: .*"),
    Step("`make up` again", "make up", "OS_CLOUD=cumulet"),
    Step("what it says to try: client and SSH", CLIENT, r"(?m)^one$"),
    Step("`cumulet doctor`", ".venv/bin/cumulet doctor", r"(?m)^.*accelerator.*"),
    Step("`make down`", "make down && ! ls -d /sys/class/net/* | grep -c cumulet", "stopped"),
    Step("`make up` brings the server back", "make up && make status", r"servers [1-9]\d*"),
    Step("`make reset`", "make reset && ! test -e /var/lib/cumulet/cumulet.db"),
    Step("nothing is left", LEFT),
    Step("`.ci/run`", "CI=true bash .ci/run", r"\d+ passed.* in .*"),
)


def main() -> int:
    """Do the steps in a new machine; 0 where all passed."""
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        sys.stderr.write("As root, after: apt-get install debootstrap\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="bare-") as folder:
        furnish(Path(folder))
        clone = ["git", "-C", f"{folder}{CHECKOUT}", "rev-parse", "--short", "HEAD"]
        head = subprocess.check_output(clone, text=True).strip()
        with machine(Path(folder)) as pid:
            outcomes = [do(step, pid) for step in STEPS]
    PAGE.write_text("\n".join(page(head, outcomes)) + "\n")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def furnish(root: Path) -> None:
    """Debian's smallest system, the way to the registries, and a clone."""
    if not SYSTEM.exists():
        SYSTEM.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            subprocess.run([*DEBOOTSTRAP, f"--make-tarball={SYSTEM}", "bookworm", scratch], check=True)
    subprocess.run(
        [*DEBOOTSTRAP, f"--unpack-tarball={SYSTEM}", "bookworm", root], check=True, stdout=subprocess.DEVNULL
    )
    root.chmod(0o755)  # as the root of any machine: who is not root has to pass it
    for name in filter(os.path.exists, FILES):
        target = root / Path(name).parent.relative_to("/")
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-rL", name, target], check=True)
    subprocess.run(["git", "clone", "-q", "--no-local", ROOT, f"{root}{CHECKOUT}"], check=True)


@contextmanager
def machine(root: Path) -> Iterator[int]:
    """The machine, running: the process id of its first process. It ends with the block, and all that runs in it."""
    argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", INIT, str(root)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as unshare:
        try:
            assert unshare.stdout is not None
            assert unshare.stdout.readline() == "ready\n", "the machine did not start"
            yield int(Path(f"/proc/{unshare.pid}/task/{unshare.pid}/children").read_text())
        finally:
            unshare.kill()


def do(step: Step, pid: int) -> Outcome:
    """Have a step done in the machine."""
    print(f"--- {step.name}", flush=True)
    environment = {name: value for name, value in os.environ.items() if VARIABLES.fullmatch(name)}
    environment |= {"HOME": "/root", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
    enter = ["nsenter", f"--target={pid}", "--mount", "--pid", "--", "/bin/sh", "-ec"]
    begin = time.monotonic()
    printed = ""
    with subprocess.Popen(
        ["timeout", str(STEP_TIMEOUT), *enter, f"cd {CHECKOUT}\n{step.command}"],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            printed += line
    seen = re.search(step.shows, printed)
    passed = process.returncode == 0 and seen is not None
    return Outcome(step, passed, time.monotonic() - begin, seen.group().strip() if seen else "")


def page(head: str, outcomes: list[Outcome]) -> Iterator[str]:
    """The lines of docs/bare-machine.md, on a clone of the commit `head`."""
    yield "# On a bare machine"
    yield ""
    yield "Written by `make bare`; never by hand. A Debian 12 of debootstrap's smallest kind with git, make and Python"
    yield f"3.11, {os.cpu_count()} cores; a clone of {head}; {time.strftime('%Y-%m-%d', time.gmtime())}. What each step"
    yield "does and must show stands in `tests/bare/run.py`."
    yield ""
    yield "| step | outcome | seconds | it showed |"
    yield "| --- | --- | ---: | --- |"
    for step, passed, seconds, detail in outcomes:
        yield f"| {step.name} | {'passed' if passed else 'FAILED'} | {seconds:.1f} | {detail.replace('|', '/')} |"


if __name__ == "__main__":
    sys.exit(main())
