# SPDX-License-Identifier: Apache-2.0
"""The unmodified `openstack` command, run inside the test process: a process of its own costs seconds each time."""

from __future__ import annotations

import io
import json
import logging
import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from unittest.mock import patch

from support.cloud import RunningCloud

_GROUPS: dict[str, dict[str, Any]] = {}  # commands by their group, as the client found them


class CommandFailed(AssertionError):
    """The command ended with a status other than 0; the message is what it printed."""


class _Terminal(io.StringIO):
    """A keyboard that nobody uses: from anything else the command would read an image."""

    def isatty(self) -> bool:
        return True


class OpenStackCommand:
    """The command with the environment of one user in one project."""

    def __init__(self, cloud: RunningCloud, **named: str) -> None:
        self._environment = {
            "OS_AUTH_URL": f"{cloud.control_url}/identity/v3",
            "OS_IDENTITY_API_VERSION": "3",
            "OS_REGION_NAME": "RegionOne",
            "OS_USERNAME": "admin",
            "OS_USER_DOMAIN_ID": "default",
            "OS_PASSWORD": cloud.admin_password,
            "OS_PROJECT_NAME": "admin",
            "OS_PROJECT_DOMAIN_ID": "default",
            **named,
        }

    def __call__(self, line: str) -> Any:
        """Run `openstack LINE -f json`; the parsed output."""
        return json.loads(self.text(f"{line} -f json"))

    def text(self, line: str) -> str:
        """Run `openstack LINE`, split as a shell does; what it printed. Raises CommandFailed."""
        out, error = io.StringIO(), io.StringIO()
        with _Environment(self._environment), _LoggingKept(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with redirect_stdout(out), redirect_stderr(error), patch.object(sys, "stdin", _Terminal()):
                status = _run(shlex.split(line))
        if status:
            raise CommandFailed(f"openstack {line}: {status}\n{out.getvalue()}\n{error.getvalue()}")
        return out.getvalue()

    def process(self, line: str) -> str:
        """Run the command as a process, as a user does."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("openstack")), *shlex.split(line)],
            env={**os.environ, **self._environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if done.returncode:
            raise CommandFailed(f"openstack {line}: {done.stdout}\n{done.stderr}")
        return done.stdout


def _run(words: list[str]) -> int | None:
    # These warn at their import, which a test's file must not.
    from openstackclient.common.clientmanager import ClientManager
    from openstackclient.shell import OpenStackShell
    from osc_lib.clientmanager import ClientCache
    from osc_lib.command.commandmanager import CommandManager

    for kind in ClientManager.__mro__:
        for value in vars(kind).values():
            if isinstance(value, ClientCache):
                value._handle = None  # made once a process: the next command would be the last one's user
    try:
        with patch.object(CommandManager, "load_commands", _remembering(CommandManager.load_commands)):
            return OpenStackShell().run(words)  # type: ignore[no-any-return]
    except SystemExit as end:
        return 1 if isinstance(end.code, str) else end.code


def _remembering(look: Callable[[Any, str], None]) -> Callable[[Any, str], None]:
    """Look for a group of commands once: what is installed stays, and to look for it is a quarter of a command."""

    def load(manager: Any, group: str) -> None:
        if group in _GROUPS:
            manager.group_list.append(group)
            manager.commands.update(_GROUPS[group])
            return
        before = dict(manager.commands)
        look(manager, group)
        _GROUPS[group] = {name: one for name, one in manager.commands.items() if before.get(name) is not one}

    return load


class _Environment:
    """Environment variables for the time of a block."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def __enter__(self) -> None:
        self._before = {name: value for name, value in os.environ.items() if name.startswith("OS_")}
        for name in self._before:
            del os.environ[name]
        os.environ.update(self._values)

    def __exit__(self, *_: object) -> None:
        for name in self._values:
            os.environ.pop(name, None)
        os.environ.update(self._before)


class _LoggingKept:
    """The command arranges logging to its own taste; afterwards it is as before. What it traces costs too much."""

    def __enter__(self) -> None:
        root = logging.getLogger()
        self._handlers, self._level = list(root.handlers), root.level
        logging.disable(logging.DEBUG)

    def __exit__(self, *_: object) -> None:
        logging.disable(logging.NOTSET)
        root = logging.getLogger()
        root.handlers[:] = self._handlers
        root.setLevel(self._level)


def names(rows: list[dict[str, Any]], column: str = "Name") -> list[Any]:
    """One column of what a list command printed."""
    return [row[column] for row in rows]


def is_gone(openstack: OpenStackCommand, line: str) -> bool:
    """Whether the command finds nothing."""
    try:
        openstack(line)
    except CommandFailed as failure:
        return any(words in str(failure) for words in ("No ", "could not be found", "Could not find", "not found"))
    return False
