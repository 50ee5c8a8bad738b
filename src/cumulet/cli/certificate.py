# SPDX-License-Identifier: Apache-2.0
"""`cumulet certificate`: TLS certificates of this cloud's services, from its own authority."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cumulet.cli import Call
from cumulet.cli.show import table

if TYPE_CHECKING:
    from cumulet.kernel.service_certificates import Handed, Issued, ServiceCertificates

DAYS = 90
LONGEST = 825  # days: clients refuse certificates that last longer
DAY = 86_400.0  # seconds
FOLDER = "certificates"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    issue = actions.add_parser("issue", help="make a service's key and certificate")
    issue.add_argument("name", metavar="SERVICE")
    issue.add_argument("hosts", metavar="HOST", nargs="+", help="a name or an address at which clients find it")
    renew = actions.add_parser("renew", help="make the next key and certificate of a service")
    renew.add_argument("name", metavar="SERVICE")
    for action in (issue, renew):
        action.add_argument("--days", type=int, default=DAYS, help=f"how long it is good ({DAYS})")
        action.add_argument(
            "--out", type=Path, metavar="FOLDER", help=f"where to put it ({FOLDER} in the state directory)"
        )
    listing = actions.add_parser("list", help="show what was issued")
    listing.add_argument("--json", action="store_true", help="for programs")
    revoke = actions.add_parser("revoke", help="declare a service's certificates invalid, and write the list of those")
    revoke.add_argument("name", metavar="SERVICE")
    actions.add_parser("authority", help="print the certificate that clients are to trust")
    revoked = actions.add_parser("crl", help="print the list of what was revoked")
    revoked.add_argument("--days", type=int, default=DAYS, help=f"how long it is good ({DAYS})")


def run(call: Call) -> int:
    """Do the one action. Exit status 1 where it was refused."""
    from cumulet.kernel.db import Database
    from cumulet.kernel.errors import CumuletError
    from cumulet.kernel.service_certificates import ServiceCertificates
    from cumulet.kernel.vault import Vault

    if not 0 < getattr(call.arguments, "days", DAYS) <= LONGEST:
        print(f"cumulet: a certificate is good for 1 to {LONGEST} days", file=sys.stderr)
        return 2
    with closing(Database.open(call.settings)) as db:
        try:
            known = ServiceCertificates(Vault(db, call.settings.master_key))
            print(_ACTIONS[call.arguments.action](call, known))
        except (CumuletError, OSError) as error:
            print(f"cumulet: {error}", file=sys.stderr)
            return 1
    return 0


def _issue(call: Call, known: ServiceCertificates) -> str:
    words = call.arguments
    return _write(call, known, known.issue(words.name, words.hosts, words.days * DAY))


def _renew(call: Call, known: ServiceCertificates) -> str:
    words = call.arguments
    return _write(call, known, known.renew(words.name, words.days * DAY))


def _revoke(call: Call, known: ServiceCertificates) -> str:
    count = known.revoke(call.arguments.name)
    return f"{count} revoked; give servers and clients the new list: `cumulet certificate crl`"


def _list(call: Call, known: ServiceCertificates) -> str:
    issued = known.find_all()
    if call.arguments.json:
        return json.dumps([msgspec.to_builtins(one) for one in issued], indent=2)
    return table(("service", "hosts", "state", "until", "serial"), [_row(one) for one in issued])


def _authority(call: Call, known: ServiceCertificates) -> str:
    return known.authority.rstrip()


def _crl(call: Call, known: ServiceCertificates) -> str:
    return known.revoked(call.arguments.days * DAY).rstrip()


def _write(call: Call, known: ServiceCertificates, handed: Handed) -> str:
    """Put the key beside the certificate with its authority's; the key is there first, and for its owner alone."""
    from cumulet.kernel.secrets import write_private

    folder = call.arguments.out or call.settings.state / FOLDER
    key, certificate = (folder / f"{handed.issued.name}{end}" for end in (".key", ".pem"))
    write_private(key, handed.key)
    write_private(certificate, handed.certificate + known.authority)
    return f"{key}\n{certificate}"


def _row(one: Issued) -> tuple[str, ...]:
    from cumulet.kernel import clock

    state = "good" if one.lives else "revoked" if one.revoked_at is not None else "over"
    return one.name, " ".join(one.hosts), state, clock.iso_z(clock.from_seconds(one.until)), f"{int(one.serial):x}"


_ACTIONS: dict[str, Callable[[Call, ServiceCertificates], str]] = {
    "issue": _issue,
    "renew": _renew,
    "list": _list,
    "revoke": _revoke,
    "authority": _authority,
    "crl": _crl,
}
