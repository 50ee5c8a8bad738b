# SPDX-License-Identifier: Apache-2.0
"""The Debian packages that Cumulet leans on: which are missing, and how they are installed."""

from __future__ import annotations

import ctypes
import os
import shutil
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cumulet.kernel.run import CommandFailed, run

LISTS = Path("/var/lib/apt/lists")
INSTALL_TIMEOUT = 1800.0
ADMIN_PATHS = ("/usr/sbin", "/sbin", "/usr/local/sbin")  # not on everybody's PATH
WHEELS = Path("/usr/share/python-wheels")
# Below these are files of packages that are unpacked and not installed: by root for all, by others for themselves.
UNPACKED = (Path("/usr/local/share/cumulet/debian"), Path.home() / ".local/share/cumulet/debian")


class Package(NamedTuple):
    """A Debian package, what of it is looked for, why it is wanted, and by what: `cloud`, `tests` or `browser`.

    One to `unpack` is wanted for its files alone: it is not installed, nor what it depends on.
    """

    name: str
    needs: str
    reason: str
    purpose: str = "cloud"
    unpack: bool = False


class SetupFailed(Exception):
    """The machine cannot be made ready; the message says what to do."""


# Only where Python came without pip: for the virtual environment, not for the cloud.
PIP = Package("python3-pip-whl", str(WHEELS), "set-up: pip for the virtual environment")


def wanted(*purposes: str) -> list[Package]:
    """The packages of the list that serve one of the purposes; the cloud's where none is named."""
    words = tomllib.loads(Path(__file__).with_name("packages.toml").read_text(encoding="utf-8"))
    found = [Package(**each) for each in words["package"]]
    return [package for package in found if package.purpose in (purposes or ("cloud",))]


def missing(packages: Sequence[Package]) -> list[Package]:
    """Those of which nothing can be found here."""
    return [package for package in packages if not is_there(package)]


def is_there(package: Package) -> bool:
    """Whether what is needed of the package is on this machine, wherever it came from."""
    if ".so" in package.needs and not package.needs.startswith("/"):
        try:
            ctypes.CDLL(package.needs)
        except OSError:
            return False
        return True
    if package.unpack and any((folder / package.needs.lstrip("/")).exists() for folder in UNPACKED):
        return True
    if package.needs.startswith("/"):
        return Path(package.needs).exists()
    return shutil.which(package.needs, path=os.pathsep.join([os.environ.get("PATH", ""), *ADMIN_PATHS])) is not None


def install_command(packages: Sequence[Package]) -> str:
    """The command that a user would type."""
    sudo = "" if os.geteuid() == 0 else "sudo "
    return f"{sudo}apt-get install --no-install-recommends {' '.join(package.name for package in packages)}"


def install(packages: Sequence[Package]) -> None:
    """Install them by apt; its lists are fetched only where they are not there or too old. Raises SetupFailed."""
    if not packages:
        return
    whole = [package for package in packages if not package.unpack]
    if (whole and os.geteuid() != 0) or shutil.which("apt-get") is None:
        raise SetupFailed(f"packages are missing; as root: {install_command(whole or packages)}")
    fresh = not any(LISTS.glob("*_Packages*"))
    if fresh:
        _apt("update", "-q")
    try:
        _install(packages)
    except CommandFailed as error:
        if fresh:
            raise SetupFailed(str(error)) from error
        _apt("update", "-q")
        try:
            _install(packages)
        except CommandFailed as again:
            raise SetupFailed(str(again)) from again


def _install(packages: Sequence[Package]) -> None:
    if whole := [package.name for package in packages if not package.unpack]:
        _apt("install", "-y", "-q", "--no-install-recommends", *whole)
    for package in packages:
        if package.unpack:
            _unpack(package)


def _unpack(package: Package) -> None:
    """Lay out the files of a package without installing it."""
    target = UNPACKED[0 if os.geteuid() == 0 else 1]
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        # Fetched as the one who asks, for nobody else may write there.
        _apt("download", "-q", "-o", "APT::Sandbox::User=root", package.name, cwd=Path(folder))
        for file in Path(folder).glob("*.deb"):
            run(["dpkg-deb", "-x", file, target], timeout=INSTALL_TIMEOUT)


def _apt(*words: str, cwd: Path | None = None) -> None:
    run(
        ["apt-get", "-o", "DPkg::Lock::Timeout=300", *words],
        timeout=INSTALL_TIMEOUT,
        cwd=cwd,
        env={"DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"},
    )
