# SPDX-License-Identifier: Apache-2.0
"""What `cumulet identity` does: new keys for tokens, and the removal of what has ended."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime

from cumulet.kernel.db import Database
from cumulet.kernel.vault import Vault
from cumulet.services.identity.logic import keys, rotation, trusts
from cumulet.settings import Settings

_DATE = "%d-%m-%Y"
_RINGS = {ring.removeprefix("identity."): ring for ring in keys.ALL}


def arguments(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The actions and their own arguments."""
    rotate = actions.add_parser("rotate-keys", help="seal tokens and credentials with new keys; no session is lost")
    rotate.add_argument("--ring", choices=sorted(_RINGS), action="append", help="of these rings only")
    flush = actions.add_parser("trust-flush", help="forget the trusts that were deleted or have ended")
    flush.add_argument("--project-id", metavar="ID", help="of this project only")
    flush.add_argument("--trustor-user-id", metavar="ID", help="given by this user only")
    flush.add_argument("--trustee-user-id", metavar="ID", help="given to this user only")
    flush.add_argument("--date", metavar="DAY", type=_day, help="those that ended before this day only (31-12-2026)")


def run(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    """Do one action; what there is to say of it, in lines."""
    return _ACTIONS[words.action](settings, db, vault, words)


def _rotate_keys(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    numbers = {
        name: rotation.rotate(db, vault, settings.identity, _RINGS[name]) for name in words.ring or sorted(_RINGS)
    }
    return [f"{name}: key {number} seals now" for name, number in numbers.items()]


def _trust_flush(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    said = {name: getattr(words, name) for name in ("project_id", "trustor_user_id", "trustee_user_id")}
    count = trusts.flush(db, words.date, {name: value for name, value in said.items() if value is not None})
    return [f"{count} trusts are forgotten"]


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, _DATE)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day like 31-12-2026") from None


_ACTIONS: dict[str, Callable[[Settings, Database, Vault, argparse.Namespace], list[str]]] = {
    "rotate-keys": _rotate_keys,
    "trust-flush": _trust_flush,
}
