# SPDX-License-Identifier: Apache-2.0
"""`cumulet restore`: a state directory out of a backup, whole or not at all."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from cumulet.cli import Call

if TYPE_CHECKING:
    from cumulet.kernel.backup.archive import Manifest
    from cumulet.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("path", type=Path, help="the backup")
    parser.add_argument("--check", action="store_true", help="only read it and compare all checksums")


def run(call: Call) -> int:
    """Exit status 1, and nothing changed, where the backup is not whole or the place is taken."""
    from cumulet.kernel.backup import archive
    from cumulet.kernel.run import CommandFailed

    try:
        about = archive.read_manifest(call.arguments.path)
        if call.arguments.check:
            archive.extract(call.arguments.path, about, None)
        else:
            restore(call.settings, call.arguments.path, about)
    except (OSError, RuntimeError, CommandFailed, archive.Broken) as error:
        print(f"cumulet: nothing was restored: {error}", file=sys.stderr)
        return 1
    size = sum(member.size for member in about.members.values()) / 1e6
    print(f"{len(about.members)} files, {size:.1f} MB, taken at {about.taken_at} by {about.version} on {about.host}")
    if call.arguments.check:
        print("The backup is whole.")
        return 0
    if about.host != call.settings.host:
        name = call.settings.host
        print(f'This machine is called {name}: put `host = "{about.host}"` into cumulet.toml before the start.')
    print(f"Restored to {call.settings.state}. Start it: cumulet up")
    return 0


def restore(settings: Settings, path: Path, about: Manifest) -> None:
    """Put the backup's files where the state directory is to be; RuntimeError where something is there."""
    from cumulet.kernel.backup import archive
    from cumulet.kernel.db import hold

    state = settings.state
    if state.exists() and any(state.iterdir()):
        raise RuntimeError(f"{state} is not empty")
    engine = "postgres" if settings.database.url else "sqlite"
    if about.database not in ("", engine):
        raise RuntimeError(f"the backup is of a cloud on {about.database}, the settings name {engine}")
    state.parent.mkdir(parents=True, exist_ok=True)
    draft = state.with_name(f".{state.name}.restoring")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    try:
        archive.extract(path, about, draft)
        if (draft / hold.DUMP).is_file():
            hold.load(settings, draft)
            (draft / hold.DUMP).unlink()
        _sync_folders(draft)
        draft.rename(state)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    _sync(state.parent)


def _sync_folders(folder: Path) -> None:
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            _sync(path)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
