# SPDX-License-Identifier: Apache-2.0
"""What `cumulet doctor` examines of the machine itself; what a service needs is examined by its own `doctor.py`."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import stat
import sys
import tempfile
from functools import partial
from pathlib import Path

from cumulet.cli import parts
from cumulet.kernel import lock
from cumulet.kernel.doctor import Finding, Probe, Status
from cumulet.kernel.run import run
from cumulet.settings import Settings
from cumulet.settings.processes import Listen
from cumulet.setup import packages

GB = 10**9
SPACE_LOW, SPACE_OUT = 10 * GB, 1 * GB
MEMORY_LOW = 2 * GB
TUN = Path("/dev/net/tun")
TUN_NUMBERS = (10, 200)  # of the character device, by the kernel's list of devices


def probes(settings: Settings) -> list[Probe]:
    """The probes of the machine."""
    ports = [("control", settings.control), ("data", settings.data)]
    if settings.object_store.enabled:
        ports.append(("objects", settings.objects))
    return [
        Probe("python", python),
        Probe("debian packages", debian_packages),
        Probe("tun", tun),
        Probe("user namespaces", user_namespaces),
        Probe("memory", memory),
        Probe("state directory", partial(state_directory, settings.state)),
        Probe("disk space", partial(disk_space, settings.state)),
        *(Probe(f"{name} port", partial(port, settings, name, listen)) for name, listen in ports),
    ]


def python() -> Finding:
    """The interpreter that runs this."""
    return Finding("ok", f"{platform.python_version()} at {sys.executable}")


def debian_packages() -> Finding:
    """What the list of packages asks for."""
    wanted = packages.wanted()
    absent = packages.missing(wanted)
    if absent:
        words = "; ".join(f"{each.name} ({each.reason})" for each in absent)
        return Finding("missing", words, packages.install_command(absent))
    return Finding("ok", f"all {len(wanted)} are there")


def tun(device: Path = TUN) -> Finding:
    """The device that makes taps, by which servers get their networks."""
    try:
        made = device.stat()
    except FileNotFoundError:
        remedy = f"modprobe tun; mkdir -p {device.parent}; mknod {device} c {TUN_NUMBERS[0]} {TUN_NUMBERS[1]}"
        return Finding("missing", f"{device} is not there", remedy)
    if not stat.S_ISCHR(made.st_mode):
        return Finding("missing", f"{device} is not a device", f"rm {device}; modprobe tun")
    try:
        os.close(os.open(device, os.O_RDWR))
    except OSError as error:
        return Finding("missing", f"{device} cannot be opened: {error.strerror}", f"chmod 0666 {device}; modprobe tun")
    return Finding("ok", str(device))


def user_namespaces() -> Finding:
    """What a cloud without root stands on; root can do without."""
    done = run(["unshare", "--user", "--map-root-user", "true"], check=False)
    if done.returncode == 0:
        return Finding("ok", "a user may make them")
    status: Status = "degraded" if os.geteuid() == 0 else "missing"
    words = done.stderr.decode(errors="replace").strip()
    return Finding(status, f"refused: {words}", "sysctl -w kernel.unprivileged_userns_clone=1")


def memory() -> Finding:
    """What servers may be given."""
    free = _meminfo()["MemAvailable"]
    words = f"{free / GB:.1f} GB available"
    if free < MEMORY_LOW:
        return Finding("degraded", f"{words}: enough for a small server or two", "free some memory")
    return Finding("ok", words)


def state_directory(state: Path) -> Finding:
    """Whether the cloud's data can be written, by writing."""
    folder = _existing(state)
    try:
        with tempfile.NamedTemporaryFile(dir=folder) as file:
            file.write(b"x")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return Finding("missing", f"{folder} cannot be written: {error.strerror}", "run as root, or choose --state")
    return Finding("ok", str(state) if folder == state else f"{state} can be made")


def disk_space(state: Path) -> Finding:
    """Room for images, volumes and the database."""
    folder = _existing(state)
    free = shutil.disk_usage(folder).free
    words = f"{free / GB:.1f} GB free at {folder}"
    if free < SPACE_OUT:
        return Finding("missing", words, "make room, or choose another place by --state")
    if free < SPACE_LOW:
        return Finding("degraded", f"{words}: enough for small images", "make room, or choose another place by --state")
    return Finding("ok", words)


def port(settings: Settings, name: str, listen: Listen) -> Finding:
    """Whether the port is free, or is this cloud's own."""
    words = f"{listen.host}:{listen.port}"
    if lock.owner(parts.lock_path(settings, name)) is not None:
        return Finding("ok", f"{words} is used by this cloud")
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((listen.host, listen.port))
        except OSError as error:
            remedy = f"cumulet --set {name}.port=NUMBER up, or stop what listens there (ss -ltnp)"
            return Finding("missing", f"{words}: {error.strerror}", remedy)
    return Finding("ok", f"{words} is free")


def _existing(path: Path) -> Path:
    """The nearest folder upwards that is there."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _meminfo() -> dict[str, int]:
    lines = [line.split() for line in Path("/proc/meminfo").read_text().splitlines()]
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1}
