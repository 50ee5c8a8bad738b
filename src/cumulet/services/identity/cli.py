# SPDX-License-Identifier: Apache-2.0
"""What `cumulet identity` does: new keys for tokens, the removal of what has ended, the ways in from elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cumulet.kernel.db import Database
from cumulet.kernel.errors import CumuletError, Invalid
from cumulet.kernel.secrets import FILE_NAME, Secrets
from cumulet.kernel.vault import Vault
from cumulet.services.identity.drivers.openid_connect import OpenIdConnect
from cumulet.services.identity.logic import (
    federation_sources,
    first_rows,
    keys,
    mapping_purge,
    passwords,
    rotation,
    saml_metadata,
    trusts,
)
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
    actions.add_parser(
        "bootstrap", help="let the user admin in again, with the password in secrets.toml and every right"
    )
    purge = actions.add_parser("mapping-purge", help="forget users and groups of outside directories")
    purge.add_argument("--all", action="store_true", help="all of them")
    purge.add_argument("--domain-name", metavar="NAME", help="of this domain only")
    purge.add_argument("--public-id", metavar="ID", help="the one with this id here")
    purge.add_argument("--local-id", metavar="ID", help="those with this id in their directory")
    purge.add_argument("--type", choices=("user", "group"), help="of this kind only")
    _federation_arguments(actions.add_parser("federation", help="say how an identity provider is reached"))


def _federation_arguments(parser: argparse.ArgumentParser) -> None:
    ways = parser.add_subparsers(dest="way", metavar="WAY", required=True)
    openid = ways.add_parser("openid", help="by OpenID Connect")
    saml = ways.add_parser("saml", help="by SAML 2.0")
    show = ways.add_parser("show", help="say what was said, without secrets")
    forget = ways.add_parser("forget", help="let nobody in this way any more")
    for way in (openid, saml, show, forget):
        way.add_argument("idp", metavar="PROVIDER", help="the identity provider's id")
        way.add_argument("protocol", metavar="PROTOCOL", help="its protocol's id")
    openid.add_argument("--issuer", required=True, metavar="URL")
    openid.add_argument("--client-id", required=True, metavar="ID")
    openid.add_argument("--secret-file", type=Path, metavar="FILE", help="the client's secret (default: it has none)")
    openid.add_argument("--scopes", default="openid email profile")
    openid.add_argument("--audience", action="append", default=[], help="take access tokens for this audience too")
    openid.add_argument("--introspect", action="store_true", help="ask the provider about each access token")
    saml.add_argument("--metadata", type=Path, required=True, metavar="FILE", help="the provider's own metadata")
    saml.add_argument("--unsolicited", action="store_true", help="take assertions that nobody here has asked for")
    saml.add_argument("--sha1", action="store_true", help="take signatures with SHA-1, as Keystone makes them")


def run(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    """Do one action; what there is to say of it, in lines. A CumuletError where it is refused."""
    return _ACTIONS[words.action](settings, db, vault, words)


def _bootstrap(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    if not first_rows.are_there(db):
        return ["the first start of the cloud makes its administrator"]
    secret = Secrets(settings.state).get_or_make(first_rows.ADMIN_PASSWORD)
    hashed = passwords.make_hash(secret, settings.identity)
    db.write(lambda tx: first_rows.restore_administrator(tx, hashed))
    return [f"admin may log in with the {first_rows.ADMIN_PASSWORD} in {settings.state / FILE_NAME}"]


def _rotate_keys(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    numbers = {
        name: rotation.rotate(db, vault, settings.identity, _RINGS[name]) for name in words.ring or sorted(_RINGS)
    }
    return [f"{name}: key {number} seals now" for name, number in numbers.items()]


def _trust_flush(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    said = {name: getattr(words, name) for name in ("project_id", "trustor_user_id", "trustee_user_id")}
    count = trusts.flush(db, words.date, {name: value for name, value in said.items() if value is not None})
    return [f"{count} trusts are forgotten"]


def _mapping_purge(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    said = {"domain_name": words.domain_name, "public_id": words.public_id, "local_id": words.local_id}
    if words.all == bool(words.type or any(said.values())):
        raise Invalid("say --all, or which ones: --domain-name, --public-id, --local-id, --type")
    return [f"{mapping_purge.purge(db, **said, kind=words.type)} entries are forgotten"]


def _federation(settings: Settings, db: Database, vault: Vault, words: argparse.Namespace) -> list[str]:
    door = (words.idp, words.protocol)
    if words.way == "forget":
        federation_sources.remove(vault, *door)
        return ["forgotten"]
    if words.way == "show":
        return federation_sources.describe(federation_sources.read(vault, *door))
    try:
        federation_sources.put(vault, *door, _source(words))
    except (OSError, UnicodeDecodeError, CumuletError) as error:
        raise Invalid(f"nothing is changed: {error}") from None
    return federation_sources.describe(federation_sources.read(vault, *door))


def _source(words: argparse.Namespace) -> federation_sources.Source:
    if words.way == "saml":
        return saml_metadata.read(words.metadata.read_bytes(), unsolicited=words.unsolicited, sha1=words.sha1)
    return OpenIdConnect(
        issuer=words.issuer,
        client_id=words.client_id,
        client_secret=words.secret_file.read_text().strip() if words.secret_file is not None else "",
        scopes=words.scopes,
        audiences=tuple(words.audience),
        introspect=words.introspect,
    )


def _day(text: str) -> datetime:
    try:
        return datetime.strptime(text, _DATE)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day like 31-12-2026") from None


_ACTIONS: dict[str, Callable[[Settings, Database, Vault, argparse.Namespace], list[str]]] = {
    "federation": _federation,
    "mapping-purge": _mapping_purge,
    "bootstrap": _bootstrap,
    "rotate-keys": _rotate_keys,
    "trust-flush": _trust_flush,
}
