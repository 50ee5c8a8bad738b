# SPDX-License-Identifier: Apache-2.0
"""Who may join: one-time tokens, the certificates that they are exchanged for, renewal, revocation, removal.

A token is `cumulet1.FINGERPRINT.SECRET`: the fingerprint of the authority, by which the joining host knows whom to
trust, and a secret of which only the hash is kept.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import msgspec
from sqlalchemy import delete, select, update

from cumulet.kernel import clock, errors, ids
from cumulet.kernel.db import sql
from cumulet.kernel.db.database import Database
from cumulet.kernel.db.tx import Tx
from cumulet.kernel.link import certificates, registry, tables
from cumulet.kernel.link.authority import Authority
from cumulet.kernel.link.badges import OF_CONTROL
from cumulet.kernel.link.names import TOKEN_PREFIX, is_host_name
from cumulet.kernel.link.rows import HostRow, ReplicaRow, TokenRow
from cumulet.kernel.vault import Vault

LOG = logging.getLogger(__name__)

KEEP = 86_400.0  # seconds after its end that a token can still be told to have expired or to be used


class Wish(msgspec.Struct, frozen=True):
    """What a host that joins says: its name, the secret of its token, and a signing request as PEM."""

    host: str
    token: str
    request: str


class Admission:
    """The door-keeper of the cloud with this database and vault; certificates last `lifetime` seconds."""

    def __init__(self, db: Database, vault: Vault, lifetime: float) -> None:
        self._db = db
        self._vault = vault
        self._lifetime = lifetime

    @cached_property
    def authority(self) -> Authority:
        """Raises NoMasterKey."""
        return Authority(self._vault)

    def new_token(self, seconds: float, host: str | None = None) -> str:
        """A token for one host, valid for `seconds`; with `host`, for the host of this name, known already or not."""
        if host is not None and not is_host_name(host):
            raise errors.Invalid(f"{host!r} cannot be the name of a host")
        secret, now = ids.new_secret(), clock.now()
        row = {"hash": _hash(secret), "host": host, "created_at": now, "expires_at": now + seconds}
        token = f"{TOKEN_PREFIX}.{self.authority.fingerprint}.{secret}"

        def write(tx: Tx) -> None:
            sql.execute(tx, delete(tables.join_token).where(tables.join_token.c.expires_at < now - KEEP))
            sql.execute(tx, tables.join_token.insert().values(row))

        self._db.write(write)
        return token

    def admit(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one without a certificate: an empty wish is told the authority, a whole one gets its certificate.

        Raises Invalid, Forbidden, Conflict; no message holds the token.
        """
        if not body:
            return {"authority": self.authority.certificate}
        try:
            wish = msgspec.convert(body, Wish)
        except msgspec.ValidationError as error:
            raise errors.Invalid(f"the wish to join is malformed: {error}") from None
        certificate = self.authority.sign_host(wish.host, wish.request, self._lifetime)
        self._db.write(lambda tx: _enrol(tx, wish, certificate))
        LOG.info("host %s may come", wish.host)
        return {"authority": self.authority.certificate, "certificate": certificate}

    def renew(self, host: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The next certificate of a host whose link is up; the one before stays good until the host confirms this one.

        `body` holds a signing request (`request`), or the fingerprint of the certificate that is kept now (`confirm`).
        """
        if "confirm" in body:
            mine = (tables.host.c.name == host, tables.host.c.fingerprint == str(body["confirm"]))
            change = update(tables.host).where(*mine).values(fingerprint_before=None)
            return {"confirmed": bool(self._db.write(lambda tx: sql.execute(tx, change)))}
        certificate = self.authority.sign_host(host, str(body.get("request", "")), self._lifetime)
        held = certificates.holder(certificate)

        def write(tx: Tx) -> None:
            row = registry.find(tx, host)
            if row is None or row.revoked or row.fingerprint is None:
                raise errors.Forbidden(f"host {host} may have no certificate")
            # A second renewal before the first was confirmed must not lose the one that is in use.
            before = row.fingerprint_before or row.fingerprint
            _change(tx, host, fingerprint=held.fingerprint, fingerprint_before=before, certificate_until=held.until)

        self._db.write(write)
        return {"certificate": certificate}

    def badge(self, who: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Tell a process which hosts there are and, where `body` has a signing request, give it a badge.

        `who` asks (`link.desk`): of a host that has joined, or of this machine, which says its own name as `host`.
        """
        hosts = {each.name: each.joined_at for each in self.hosts() if not each.revoked and each.fingerprint}
        if "request" not in body:
            return {"hosts": hosts}
        joined, afar, _ = who.partition("/")
        name = joined if afar else f"{OF_CONTROL}{body.get('host')}"
        signed = self.authority.sign_badge(name, str(body["request"]), self._lifetime)
        return {"hosts": hosts, "certificate": signed, "authority": self.authority.certificate}

    def hosts(self) -> list[HostRow]:
        """All hosts, by name."""
        return sql.rows(self._db, select(tables.host).order_by(tables.host.c.name), HostRow)

    def replicas(self) -> list[ReplicaRow]:
        """All replicas that have signed on, by name."""
        return sql.rows(self._db, select(tables.replica).order_by(tables.replica.c.name), ReplicaRow)

    def revoke(self, host: str) -> None:
        """Have every replica cut the host's link and refuse it from now on. Raises NotFound."""
        self._must(host, lambda tx: _change(tx, host, revoked=True))

    def remove(self, host: str) -> None:
        """Forget the host, its certificate included; its name is free again. Raises NotFound."""
        self._must(host, lambda tx: sql.execute(tx, delete(tables.host).where(tables.host.c.name == host)))

    def _must(self, host: str, change: Callable[[Tx], int]) -> None:
        if not self._db.write(change):
            raise errors.NotFound(f"there is no host {host}")


def _enrol(tx: Tx, wish: Wish, certificate: str) -> None:
    now, held = clock.now(), certificates.holder(certificate)
    tx.lock(f"host:{wish.host}")
    token = sql.row(tx, select(tables.join_token).where(tables.join_token.c.hash == _hash(wish.token)), TokenRow)
    if token is None:
        raise errors.Forbidden("the join token is not known here", code="TokenUnknown")
    if token.used_at is not None:
        raise errors.Forbidden("the join token has been used already: make another", code="TokenUsed")
    if token.expires_at <= now:
        raise errors.Forbidden("the join token has expired: make another", code="TokenExpired")
    if token.host not in (None, wish.host):
        raise errors.Forbidden(f"the join token is for host {token.host}, not for {wish.host}", code="TokenOfOther")
    mine = (tables.join_token.c.hash == token.hash, tables.join_token.c.used_at.is_(None))
    if not sql.execute(tx, update(tables.join_token).where(*mine).values(used_at=now)):
        raise errors.Forbidden("the join token has been used already: make another", code="TokenUsed")
    keys = {"fingerprint": held.fingerprint, "fingerprint_before": None, "certificate_until": held.until}
    row = registry.find(tx, wish.host)
    if row is None:
        new = {"name": wish.host, "revoked": False, "joined_at": now, "generation": 0, "seen_at": now, "version": ""}
        sql.execute(tx, tables.host.insert().values(**new, **keys, capabilities={}))
        return
    if token.host is None:
        raise errors.Conflict(
            f"host {wish.host} has joined already; a token made with `--name {wish.host}` may replace it",
            code="HostExists",
        )
    # A higher generation cuts the link that the former certificate may still have.
    _change(tx, wish.host, **keys, revoked=False, joined_at=now, generation=row.generation + 1)


def _change(tx: Tx, host: str, **values: Any) -> int:
    return sql.execute(tx, update(tables.host).where(tables.host.c.name == host).values(**values))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
