# SPDX-License-Identifier: Apache-2.0
"""Orders: wishes for keys that a saga carries out, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import CumuletError, NotFound
from cumulet.services.key_manager.logic import containers, generate, keys, moments, payloads, quotas, secrets, words
from cumulet.services.key_manager.logic.refusals import mismatch, unsupported_value
from cumulet.services.key_manager.logic.secrets import Prepared
from cumulet.services.key_manager.store import keys as sealed
from cumulet.services.key_manager.store import orders as store
from cumulet.services.key_manager.types import Container, Order, OrderStatus, OrderType, Page, SecretType

FLOW = "key_manager.order"
QUOTA = "orders"
SCHEMA = "Order"
META = "Secret' within 'Order"
EC_BITS = (256, 384, 521)
LONGEST_REASON = 255
FAILED = "failure seen - please contact site administrator."
_NAMES = {OrderType.KEY: "key", OrderType.ASYMMETRIC: "asymmetric key"}


class Refused(CumuletError):
    """An order that cannot be carried out; what its row is to say."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = str(status)


class Outcome(msgspec.Struct, frozen=True):
    """What an order has made, sealed and not yet in the database: secrets by the names that a container gives them."""

    secrets: tuple[tuple[str, Prepared], ...]
    container: Container | None = None


def get(source: Source, ctx: Context, order_id: str) -> Order:
    """An order of the caller's project."""
    found = store.find_visible(source, ctx, order_id)
    if found is None:
        raise NotFound("Order not found.")
    return found


def find_all(cloud: Cloud, ctx: Context, meta: str | None, wanted: Page) -> tuple[list[Order], int]:
    return store.find_all(cloud.db, ctx, meta, wanted)


def create(cloud: Cloud, ctx: Context, said: Mapping[str, Any]) -> Order:
    """Take an order and begin to carry it out."""
    kind, meta = said["type"], dict(said["meta"])
    new = words.read(meta, META, ordered=True)
    _check(kind, meta, new)
    passphrase = meta.pop("passphrase", None)
    shown = {**meta, "name": new.name, "expiration": clock.iso_micro(new.expiration) if new.expiration else None}
    now = clock.utcnow()
    order = Order(
        id=ids.new_uuid(), project_id=ctx.project_id or "", creator_id=ctx.user_id, type=kind,
        status=OrderStatus.PENDING, meta=shown, secret_id=None, container_id=None, error_status_code=None,
        error_reason=None, created_at=now, updated_at=now,
    )  # fmt: skip
    payload = keys.ring(cloud).seal(order.project_id, order.id, passphrase.encode()) if passphrase else None

    def write(tx: Tx) -> None:
        quotas.enforce(cloud, tx, order.project_id, QUOTA, store.count)
        store.add(tx, order)
        sealed.add_payloads(tx, [payload] if payload is not None else [])
        cloud.sagas.start(tx, FLOW, order.id, {}, ctx.request_id)

    cloud.db.write(write)
    return order


def delete(cloud: Cloud, ctx: Context, order_id: str) -> None:
    """Forget an order; what it has made stays. One that is not carried out yet never will be."""

    def write(tx: Tx) -> None:
        get(tx, ctx, order_id)
        sealed.remove_payloads(tx, order_id)
        store.remove(tx, order_id)

    cloud.db.write(write)


def work(cloud: Cloud, order_id: str) -> Outcome | None:
    """Make what was ordered; None where there is nothing to do any more. Raises Refused."""
    order = store.find(cloud.db, order_id)
    if order is None or order.status != OrderStatus.PENDING:
        return None
    new = words.NewSecret(
        name=order.meta.get("name"),
        expiration=moments.parse(order.meta["expiration"]) if order.meta["expiration"] else None,
        algorithm=order.meta["algorithm"],
        bit_length=int(order.meta["bit_length"]),
        mode=order.meta.get("mode"),
        content_type=payloads.media_type(order.meta.get("payload_content_type") or payloads.BYTES),
    )
    return _key(cloud, order, new) if order.type == OrderType.KEY else _pair(cloud, order, new)


def done(tx: Tx, order_id: str, outcome: Outcome) -> None:
    """Commit what an order has made, unless it was deleted meanwhile."""
    order = store.find(tx, order_id)
    if order is None or order.status != OrderStatus.PENDING:
        return
    secrets.add(tx, *(prepared for _, prepared in outcome.secrets))
    made: dict[str, Any] = {}
    if outcome.container is not None:
        references = [(name, prepared.secret.id) for name, prepared in outcome.secrets]
        containers.add(tx, outcome.container, references)
        made["container_id"] = outcome.container.id
    else:
        made["secret_id"] = outcome.secrets[0][1].secret.id
    sealed.remove_payloads(tx, order_id)
    store.change(tx, order_id, {**made, "status": OrderStatus.ACTIVE, "updated_at": clock.utcnow()})


def failed(tx: Tx, order_id: str, status: str, reason: str) -> None:
    """Note why an order was not carried out."""
    sealed.remove_payloads(tx, order_id)
    values = {
        "status": OrderStatus.ERROR,
        "error_status_code": status,
        "error_reason": f"Process TypeOrder {reason}"[:LONGEST_REASON],
        "updated_at": clock.utcnow(),
    }
    store.change(tx, order_id, values)


def _key(cloud: Cloud, order: Order, new: words.NewSecret) -> Outcome:
    algorithm, bits = _known(new)
    if algorithm not in generate.SYMMETRIC:
        raise _not_supported()
    if not generate.fits_symmetric(algorithm, bits, new.mode):
        raise Refused(500, FAILED)
    wanted = msgspec.structs.replace(new, secret_type=SecretType.SYMMETRIC, plain=generate.symmetric(bits))
    return Outcome((("key", secrets.prepare_for(cloud, order.project_id, order.creator_id, wanted)),))


def _pair(cloud: Cloud, order: Order, new: words.NewSecret) -> Outcome:
    algorithm, bits = _known(new)
    if algorithm not in generate.ASYMMETRIC:
        raise _not_supported()
    if bits not in generate.ASYMMETRIC_BITS:
        raise Refused(500, FAILED)
    kept = sealed.payload_of(cloud.db, order.id)
    passphrase = keys.ring(cloud).open(kept).decode() if kept is not None else None
    pair = generate.asymmetric(algorithm, bits, passphrase)
    parts = [("private_key", SecretType.PRIVATE, pair.private), ("public_key", SecretType.PUBLIC, pair.public)]
    if passphrase:
        parts.append(("private_key_passphrase", SecretType.PASSPHRASE, passphrase.encode()))
    made = tuple((name, _part(cloud, order, new, kind, plain)) for name, kind, plain in parts)
    now = clock.utcnow()
    container = Container(ids.new_uuid(), order.project_id, order.creator_id, new.name, algorithm, now, now)
    return Outcome(made, container)


def _part(cloud: Cloud, order: Order, new: words.NewSecret, kind: SecretType, plain: bytes) -> Prepared:
    wanted = msgspec.structs.replace(new, secret_type=kind, plain=plain)
    return secrets.prepare_for(cloud, order.project_id, order.creator_id, wanted)


def _known(new: words.NewSecret) -> tuple[str, int]:
    """The algorithm and length, where the algorithm is one that any store makes keys for."""
    algorithm = (new.algorithm or "").lower()
    if algorithm not in (*generate.SYMMETRIC, *generate.ASYMMETRIC, "diffie_hellman", "ec"):
        raise Refused(400, "issue seen - Secret generate supported plugin not found..")
    return algorithm, new.bit_length or 0


def _not_supported() -> Refused:
    return Refused(400, "issue seen - Requested algorithm is not supported.")


def _check(kind: str, meta: Mapping[str, Any], new: words.NewSecret) -> None:
    name = _NAMES[OrderType(kind)]
    if meta.get("payload") is not None:
        raise mismatch(SCHEMA, f"'payload' not allowed for {kind} type order", "meta")
    for required in ("algorithm", "bit_length"):
        if not meta.get(required):
            raise mismatch(SCHEMA, f"'{required}' is required field for {name} type order", "meta")
    passphrase = meta.get("passphrase")
    if passphrase is not None and not isinstance(passphrase, str):
        raise mismatch(SCHEMA, "'passphrase' must be a string", "meta")
    payloads.check_size((passphrase or "").encode())
    bits = new.bit_length or 0
    if (new.algorithm or "").lower() == "ec" and kind == OrderType.ASYMMETRIC:
        if bits not in EC_BITS:
            raise unsupported_value()
    elif bits % 8:
        raise unsupported_value()
