# SPDX-License-Identifier: Apache-2.0
"""The key manager's contract, implemented on the verbs that serve the API as well; loaded when first asked for."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud, own
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, NotFound
from cumulet.services.key_manager.contract import Consumer, NewSecret, SealedSecret, SecretInfo
from cumulet.services.key_manager.logic import acls, consumers, containers, payloads, secrets, words
from cumulet.services.key_manager.logic.secrets import Prepared
from cumulet.services.key_manager.types import Container, Secret

SERVICE = "key_manager"


class _Sealed:
    """`contract.SealedSecret`."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared

    @property
    def id(self) -> str:
        return self.prepared.secret.id


class KeyManager:
    """`contract.KeyManagerContract`."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def fetch(self, ctx: Context, ref: str) -> SecretInfo:
        db = self._cloud.db
        secret = secrets.get(db, containers.id_of(ref))
        self._require(db, ctx, "secret:decrypt", secret)
        return self._opened(db, secret)

    def read(self, ref: str) -> SecretInfo:
        db = self._cloud.db
        return self._opened(db, secrets.get(db, containers.id_of(ref)))

    def _opened(self, db: Source, secret: Secret) -> SecretInfo:
        payload = secrets.payload(self._cloud, db, secret)
        return SecretInfo(
            id=secret.id, name=secret.name, type=secret.secret_type, content_type=secret.content_type or payloads.BYTES,
            algorithm=secret.algorithm, bit_length=secret.bit_length, mode=secret.mode, payload=payload,
        )  # fmt: skip

    def bundle(self, ctx: Context, ref: str) -> dict[str, SecretInfo]:
        db = self._cloud.db
        container = containers.get(db, containers.id_of(ref))
        self._require(db, ctx, "container:get", container)
        held = containers.references(db, [container]).get(container.id, [])
        return {one.name or one.secret_id: self.fetch(ctx, one.secret_id) for one in held}

    def seal(self, ctx: Context, new: NewSecret) -> SealedSecret:
        self._allow(ctx, "secrets:post", own(ctx))
        payloads.check_size(new.payload)
        wanted = words.NewSecret(
            name=new.name, secret_type=new.type, expiration=new.expiration, algorithm=new.algorithm,
            bit_length=new.bit_length, mode=new.mode, content_type=new.content_type, plain=new.payload,
        )  # fmt: skip
        return _Sealed(secrets.prepare(self._cloud, ctx, wanted))

    def store(self, tx: Tx, sealed: SealedSecret) -> str:
        assert isinstance(sealed, _Sealed)
        secrets.store_prepared(self._cloud, tx, sealed.prepared)
        return sealed.id

    def add_consumer(self, tx: Tx, ctx: Context, ref: str, consumer: Consumer) -> None:
        secret = secrets.get(tx, containers.id_of(ref))
        self._require(tx, ctx, "secret_consumers:post", secret)
        consumers.add(self._cloud, tx, ctx, consumers.OF_SECRET, secret.id, msgspec.structs.asdict(consumer))

    def remove_consumer(self, tx: Tx, ref: str, consumer: Consumer) -> None:
        consumers.forget(tx, consumers.OF_SECRET, containers.id_of(ref), msgspec.structs.asdict(consumer))

    def delete(self, tx: Tx, ref: str) -> None:
        try:
            secrets.remove(tx, containers.id_of(ref), even_if_needed=True)
        except NotFound:
            return

    def delete_as(self, tx: Tx, ctx: Context, ref: str) -> None:
        secret = secrets.get(tx, containers.id_of(ref))
        self._require(tx, ctx, "secret:delete", secret)
        secrets.remove(tx, secret.id, even_if_needed=False)

    def _require(self, source: Source, ctx: Context, rule: str, owner: Secret | Container) -> None:
        noun = "secret" if isinstance(owner, Secret) else "container"
        self._allow(ctx, rule, {"target": {noun: acls.target(source, ctx, owner)}})

    def _allow(self, ctx: Context, rule: str, target: dict[str, Any]) -> None:
        if not self._cloud.allows(SERVICE, rule, ctx, {**target, "enforce_new_defaults": True}):
            raise Forbidden(f"Policy doesn't allow {rule} to be performed.", code="PolicyNotAuthorized", rule=rule)
