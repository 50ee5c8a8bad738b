# SPDX-License-Identifier: Apache-2.0
"""`cumulet host`: who may join this cloud, and who has; for the control plane's machines."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import closing
from typing import TYPE_CHECKING

import msgspec

from cumulet.cli import Call
from cumulet.cli.show import table

if TYPE_CHECKING:
    from cumulet.kernel.link.admission import Admission
    from cumulet.kernel.link.rows import HostRow

TOKEN_LIFETIME = 3600  # seconds
LONGEST = 7 * 86_400


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    token = actions.add_parser("token", help="make a one-time token by which a host joins")
    token.add_argument("--ttl", type=int, default=TOKEN_LIFETIME, metavar="SECONDS", help="how long it is good (3600)")
    token.add_argument(
        "--name", metavar="HOST", help="for this host only, which it may replace if it has joined before"
    )
    listing = actions.add_parser("list", help="show the hosts, and which replica holds the link of each")
    listing.add_argument("--json", action="store_true", help="for programs")
    revoke = actions.add_parser("revoke", help="cut a host's link and refuse it from now on")
    revoke.add_argument("name", metavar="HOST")
    remove = actions.add_parser("remove", help="forget a host and its certificate; its name is free again")
    remove.add_argument("name", metavar="HOST")


def run(call: Call) -> int:
    """Do the one action. Exit status 1 where it was refused."""
    from cumulet.kernel.db import Database
    from cumulet.kernel.errors import CumuletError
    from cumulet.kernel.link.admission import Admission
    from cumulet.kernel.vault import Vault

    settings = call.settings
    with closing(Database.open(settings)) as db:
        admission = Admission(db, Vault(db, settings.master_key), settings.link.certificate_lifetime)
        try:
            return _act(call, admission)
        except CumuletError as error:
            print(f"cumulet: {error.message}", file=sys.stderr)
            return 1


def _act(call: Call, admission: Admission) -> int:
    words = call.arguments
    if words.action == "token":
        return _token(call, admission)
    if words.action == "list":
        return _list(call, admission)
    if words.action == "revoke":
        admission.revoke(words.name)
        print(f"host {words.name} is revoked; every replica cuts its link within seconds")
        return 0
    admission.remove(words.name)
    print(f"host {words.name} is forgotten")
    return 0


def _token(call: Call, admission: Admission) -> int:
    words = call.arguments
    if not 0 < words.ttl <= LONGEST:
        print(f"cumulet: a token is good for 1 to {LONGEST} seconds", file=sys.stderr)
        return 2
    token = admission.new_token(words.ttl, words.name)
    urls = [replica.address for replica in admission.replicas() if replica.address.startswith("https:")]
    if not urls:
        print("cumulet: no replica takes hosts yet: set link.host and start `cumulet serve`", file=sys.stderr)
    if not sys.stdout.isatty():
        print(token)
        return 0
    name = f" --set host={words.name}" if words.name else ""
    print(f"On the host, within {words.ttl} s:\n")
    print(f"  cumulet{name} agent --join {token} {' '.join(urls) or 'https://HOST:PORT'}")
    return 0


def _list(call: Call, admission: Admission) -> int:
    hosts = admission.hosts()
    if call.arguments.json:
        print(json.dumps([msgspec.to_builtins(host) for host in hosts], indent=2))
        return 0
    heads = ("host", "state", "replica", "link", "version", "seen", "certificate until")
    print(table(heads, [_row(host) for host in hosts]))
    return 0


def _row(host: HostRow) -> tuple[str, ...]:
    from cumulet.kernel import clock

    def moment(seconds: float | None) -> str:
        return "-" if seconds is None else clock.iso_z(clock.from_seconds(seconds))

    state = "revoked" if host.revoked else "up" if host.reported_at is not None else "down"
    return (
        host.name,
        state,
        host.replica or "-",
        str(host.generation),
        host.version or "-",
        moment(host.seen_at),
        moment(host.certificate_until),
    )
