# SPDX-License-Identifier: Apache-2.0
"""`cumulet reset`: stops the cloud and removes its data, in a database on a server too; the settings file stays."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

from cumulet.cli import Call, down
from cumulet.kernel.errors import NotReady
from cumulet.settings import FILE_NAME, Settings

# One of these is in every state directory that was ever used; without one, a wrong path is not emptied.
MARKS = ("cumulet.db", "log", "agent", "secrets.toml")


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    parser.add_argument("--yes", action="store_true", help="do not ask")


def run(call: Call) -> int:
    """Stop and remove."""
    state = call.settings.state
    if not state.exists() or not any(state.iterdir()):
        print(f"There is no data in {state}.")
        return 0
    if not any((state / mark).exists() for mark in MARKS):
        print(f"cumulet: {state} does not look like a cloud's state directory; nothing is removed", file=sys.stderr)
        return 1
    if not call.arguments.yes and not _agreed(call.settings):
        print("cumulet: nothing is removed; say --yes", file=sys.stderr)
        return 1
    try:
        down.stop(call, at_once=True)
        _erase(call.settings)
    except (down.StillRuns, RuntimeError, NotReady) as error:
        print(f"cumulet: nothing is removed: {error}", file=sys.stderr)
        return 1
    places = _places(call.settings)
    _empty(call.settings)
    print(f"All data in {places} is removed.")
    return 0


def _places(settings: Settings) -> str:
    places = [str(settings.state), *map(str, _devices(settings))]
    return ", ".join(places) + (" and in its PostgreSQL database" if settings.database.url else "")


def _devices(settings: Settings) -> list[Path]:
    """Folders of the object store outside of the state directory: of its own, and those that are its devices."""
    store = settings.object_store
    own = [settings.objects_folder] if (settings.objects_folder / "secret.json").is_file() else []
    found = own + [each.folder for each in store.devices if (each.folder / "device.json").is_file()]
    return [path for path in found if not path.is_relative_to(settings.state)]


def _agreed(settings: Settings) -> bool:
    question = f"Remove all data of the cloud in {_places(settings)}? [y/N] "
    return sys.stdin.isatty() and input(question).strip().lower() == "y"


def _erase(settings: Settings) -> None:
    """Empty the database on a server: without the keys in the state directory nobody could use it any more."""
    if settings.database.url:
        from cumulet.kernel.db import Database

        database = Database.open(settings)
        try:
            database.dialect.erase()
        finally:
            database.close()


def _empty(settings: Settings) -> None:
    for folder in {settings.state, settings.run, *_devices(settings)}:
        for path in folder.iterdir() if folder.exists() else ():
            if path.name == FILE_NAME:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
