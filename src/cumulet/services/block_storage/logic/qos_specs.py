# SPDX-License-Identifier: Apache-2.0
"""What can be done with QoS specs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.block_storage.logic import volume_types
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.store import qos_specs as store
from cumulet.services.block_storage.types import Page, VolumeType
from cumulet.services.block_storage.types.qos_specs import CONSUMERS, QosSpecs

CONSUMER = "consumer"
_MOST = 255  # characters of a key or a value


def get(source: Source, specs_id: str) -> QosSpecs:
    found = store.find(source, specs_id)
    if found is None:
        raise not_found(specs_id)
    return found


def find_page(source: Source, page: Page, exact: dict[str, str]) -> list[QosSpecs]:
    """A part of the list; NotFound where the marker is not there."""
    try:
        return store.find_page(source, page, exact)
    except LookupError as error:
        raise not_found(str(error.args[0])) from error


def create(cloud: Cloud, tx: Tx, ctx: Context, name: str, said: Mapping[str, Any]) -> QosSpecs:
    """`said` are the specs, and maybe the `consumer`."""
    _check(said)
    consumer, specs = _parted(said)
    if store.named(tx, name) is not None:
        raise Conflict(f"QoS Specs {name} already exists.", code="QoSSpecsExists")
    new = QosSpecs(ids.new_uuid(), name, consumer or CONSUMERS[0], specs, clock.utcnow(), None)
    store.add(tx, new)
    _tell(cloud, tx, ctx, "create", new, name=name, specs=specs)
    return new


def update(cloud: Cloud, tx: Tx, ctx: Context, specs_id: str, said: Mapping[str, Any]) -> None:
    """Add or replace specs, and the `consumer`. Volumes that are attached keep the limits that they have."""
    found = get(tx, specs_id)
    _check(said)
    consumer, specs = _parted(said)
    store.change(tx, specs_id, consumer=consumer or found.consumer, specs={**found.specs, **specs})
    _tell(cloud, tx, ctx, "update", found, specs=dict(said))


def delete_keys(cloud: Cloud, tx: Tx, ctx: Context, specs_id: str, keys: list[str]) -> NotFound | None:
    """Take keys away, in their order, up to the first that is not there: what has to be said of that one."""
    found = get(tx, specs_id)
    left, missing = dict(found.specs), None
    for key in keys:
        if key not in left:
            missing = NotFound(f"QoS spec {specs_id} has no spec with key {key}.", code="QoSSpecsKeyNotFound")
            break
        del left[key]
    if left != found.specs:
        store.change(tx, specs_id, specs=left)
    if missing is None:
        _tell(cloud, tx, ctx, "delete_keys", found)
    return missing


def delete(cloud: Cloud, tx: Tx, ctx: Context, specs_id: str, *, force: bool) -> None:
    """Invalid while types are associated with them, unless `force` ends that."""
    found = get(tx, specs_id)
    if store.types(tx, specs_id):
        if not force:
            raise Invalid("Qos specs still in use.", code="QoSSpecsInUse")
        store.disassociate_all(tx, specs_id)
    store.remove(tx, specs_id)
    _tell(cloud, tx, ctx, "delete", found)


def associations(source: Source, specs_id: str) -> list[VolumeType]:
    """The types that are kept to the specs."""
    get(source, specs_id)
    return store.types(source, specs_id)


def associate(cloud: Cloud, tx: Tx, ctx: Context, specs_id: str, type_id: str) -> None:
    """Keep new attachments of a type's volumes to the specs; Invalid where others have it."""
    found = get(tx, specs_id)
    kind = volume_types.get(tx, ctx, type_id)
    if kind.qos_specs_id not in (None, specs_id):
        words = f"Type {type_id} is already associated with another qos specs: {kind.qos_specs_id}"
        raise Invalid(f"Invalid volume type: {words}", code="InvalidVolumeType")
    if kind.qos_specs_id is None:
        store.associate(tx, kind.id, specs_id)
    _tell(cloud, tx, ctx, "associate", found, type_id=type_id)


def disassociate(cloud: Cloud, tx: Tx, ctx: Context, specs_id: str, type_id: str) -> None:
    """Nothing happens where the type is not associated with these specs."""
    found = get(tx, specs_id)
    kind = volume_types.get(tx, ctx, type_id)
    if kind.qos_specs_id == specs_id:
        store.associate(tx, kind.id, None)
    _tell(cloud, tx, ctx, "disassociate", found, type_id=type_id)


def disassociate_all(cloud: Cloud, tx: Tx, ctx: Context, specs_id: str) -> None:
    found = get(tx, specs_id)
    store.disassociate_all(tx, specs_id)
    _tell(cloud, tx, ctx, "disassociate_all", found)


def not_found(specs_id: str) -> NotFound:
    return NotFound(f"No such QoS spec {specs_id}.", code="QoSSpecsNotFound")


def _parted(said: Mapping[str, Any]) -> tuple[str | None, dict[str, str | None]]:
    """The consumer, where one is named, and the specs."""
    consumer = said.get(CONSUMER)
    if consumer is not None and consumer not in CONSUMERS:
        words = f"Valid consumer of QoS specs are: {', '.join(CONSUMERS)}"
        raise Invalid(f"Invalid qos specs: {words}", code="InvalidQoSSpecs")
    return consumer, {key: value for key, value in said.items() if key != CONSUMER}


def _check(said: Mapping[str, Any]) -> None:
    for key, value in said.items():
        _check_text(f'Key "{key}"', key, 1)
        if value is not None:
            _check_text(f'Value for key "{key}"', value, 0)


def _check_text(name: str, text: Any, least: int) -> None:
    if not isinstance(text, str):
        raise invalid_input(f"{name} is not a string or unicode")
    if len(text) < least:
        raise invalid_input(f"{name} has {len(text)} characters, less than {least}.")
    if len(text) > _MOST:
        raise invalid_input(f"{name} has {len(text)} characters, more than {_MOST}.")


def _tell(cloud: Cloud, tx: Tx, ctx: Context, what: str, one: QosSpecs, **more: Any) -> None:
    payload = {"id": one.id, "created_at": one.created_at.isoformat(), **more}
    cloud.outbox.publish(tx, f"qos_specs.{what}", payload, ctx.request_id)
