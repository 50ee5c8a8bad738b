# SPDX-License-Identifier: Apache-2.0
"""The command `cumulet`: finds the module of the command that was asked for, and loads no other."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from cumulet import __version__

if TYPE_CHECKING:
    from cumulet.settings import Settings

# Each is a module of this package (with _ for -) that exports `arguments(parser)` and `run(call) -> exit status`.
COMMANDS = {
    "up": "start the cloud in the background and wait until it is ready",
    "down": "stop the cloud, servers included; data stays",
    "reset": "stop the cloud and remove all of its data",
    "status": "show what runs, and how it is",
    "check": "examine the running cloud: whether its rows, hosts and files agree",
    "doctor": "examine this machine: what is there, what is missing, what mends it",
    "verify": "boot a server and run a command in it through its floating IP",
    "seed": "give a new cloud its image, flavors and public network",
    "image": "build the guest image; load, remove and write metadata definitions",
    "migrate": "bring the schema up to date; with --contract, let go of what the release before needed",
    "explain": "say why a server or a port is as it is, and what to do",
    "shell": "run a command where floating IPs are reached, in a cloud without root",
    "ingress": "let ports of this machine lead to floating IPs",
    "backup": "put all that this machine keeps into one file",
    "restore": "make a state directory out of a backup",
    "log-level": "show or change what running processes log",
    "serve": "run the control plane in the foreground",
    "data": "run the data process in the foreground",
    "objects": "run the object store in the foreground",
    "agent": "run this host's agent in the foreground",
    "host": "let hosts join this cloud, list them, cut them off",
    "identity": "new keys for tokens, the way back in for admin, the removal of what has ended",
    "key-manager": "seal all secrets under new keys, forget old keys and secrets",
    "ring": "lay out which disks have the object store's replicas, change that, bring it to servers",
    "container": "split a container of the object store into shards, show these",
    "certificate": "issue, renew and revoke the TLS certificates of this cloud's services",
    "vault": "replace the master key of the cloud's secrets",
    "supervise": "run and restart all parts in the foreground (what `up` starts)",
    "dev": "tools for those who work on Cumulet itself",
}


@dataclass(frozen=True)
class Call:
    """One use of the command: the settings in force, the command's own arguments, and the flags to hand to children."""

    settings: Settings
    arguments: argparse.Namespace
    flags: tuple[str, ...]


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 wrong use."""
    words = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser(next((word for word in words if word in COMMANDS), None)).parse_args(words)
    from cumulet.settings import SettingsError, load

    flags = _flags(arguments)
    overrides = dict(pair.partition("=")[::2] for pair in arguments.set)
    if arguments.state is not None:
        overrides["state"] = str(arguments.state)
    if getattr(arguments, "replica", None) is not None:
        overrides["replica"] = arguments.replica
    try:
        settings = load(arguments.config, overrides=overrides)
    except SettingsError as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 2
    module = _module(arguments.command)
    try:
        return int(module.run(Call(settings, arguments, flags)))
    except KeyboardInterrupt:
        return 130


def _parser(command: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="cumulet", description="A complete OpenStack-compatible cloud.")
    parser.add_argument("--version", action="version", version=f"cumulet {__version__}")
    parser.add_argument("--config", type=Path, metavar="FILE", help="the settings file")
    parser.add_argument("--state", type=Path, metavar="FOLDER", help="the state directory")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="one setting, by dotted name")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        child = commands.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == command:
            _module(name).arguments(child)
    return parser


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"{__name__}.{command.replace('-', '_')}")


def _flags(arguments: argparse.Namespace) -> tuple[str, ...]:
    flags = [word for pair in arguments.set for word in ("--set", pair)]
    if arguments.config is not None:
        flags += ["--config", str(arguments.config.absolute())]
    if arguments.state is not None:
        flags += ["--state", str(arguments.state.absolute())]
    return tuple(flags)
