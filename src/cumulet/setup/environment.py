# SPDX-License-Identifier: Apache-2.0
"""The virtual environment of a checkout: made with any Python 3.11, and left alone while nothing has changed."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from cumulet.kernel.run import Arg, CommandFailed, run
from cumulet.setup import packages
from cumulet.setup.packages import SetupFailed

PIP = "pip>=25.1"  # the first that installs dependency groups
INSTALL_TIMEOUT = 1800.0


def prepare(project: Path, folder: Path, groups: Sequence[str], extras: Sequence[str]) -> bool:
    """Bring the checkout and its `groups` and `extras` into the environment at `folder`; False where all was there.

    Raises SetupFailed.
    """
    stamp = folder / ".cumulet"
    state = _fingerprint(project, folder)
    done = _read(stamp, state)
    asked = {*(f"group {name}" for name in groups), *(f"extra {name}" for name in extras), "package"}
    if asked <= done:
        return False
    try:
        _make(folder)
        whole = sorted(asked | done)
        _install(project, folder, whole)
    except CommandFailed as error:
        raise SetupFailed(str(error)) from error
    stamp.write_text("\n".join([state, *whole]) + "\n")
    return True


def _install(project: Path, folder: Path, whole: Sequence[str]) -> None:
    extras = ",".join(name.removeprefix("extra ") for name in whole if name.startswith("extra "))
    words = ["-e", f"{project}[{extras}]" if extras else str(project)]
    for name in whole:
        if name.startswith("group "):
            words += ["--group", f"{project / 'pyproject.toml'}:{name.removeprefix('group ')}"]
    pip: list[Arg] = [folder / "bin" / "python", "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    run([*pip, PIP], timeout=INSTALL_TIMEOUT)
    run([*pip, *words], timeout=INSTALL_TIMEOUT)


def _make(folder: Path) -> None:
    """An environment with a pip in it, even from a Python that came without one."""
    if (folder / "bin" / "pip").exists():
        return
    if importlib.util.find_spec("ensurepip") is not None:
        run([sys.executable, "-m", "venv", folder], timeout=300)
        return
    if not _wheels():
        packages.install([packages.PIP])
    run([sys.executable, "-m", "venv", "--without-pip", folder], timeout=120)
    wheel = _wheels()[-1]
    run([folder / "bin" / "python", wheel / "pip", "install", "-q", PIP], timeout=INSTALL_TIMEOUT)


def _wheels() -> list[Path]:
    return sorted(packages.WHEELS.glob("pip-*.whl"))


def _fingerprint(project: Path, folder: Path) -> str:
    digest = hashlib.sha256((project / "pyproject.toml").read_bytes())
    digest.update(f"{sys.version} {project} {folder}".encode())
    return digest.hexdigest()


def _read(stamp: Path, state: str) -> set[str]:
    try:
        first, *rest = stamp.read_text().splitlines()
    except (FileNotFoundError, ValueError):
        return set()
    return set(rest) if first == state else set()
