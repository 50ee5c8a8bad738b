# SPDX-License-Identifier: Apache-2.0
"""What the listing of a container is told of an object."""

from __future__ import annotations

import msgspec

from cumulet.services.object_store.types.indexes import ObjectRow
from cumulet.services.object_store.types.objects import Address, Kind, OwedUpdate, Version

MANIFEST, MANIFEST_SIZE = "x-static-large-object", "x-object-sysmeta-slo-size"
OVERRIDE = "x-object-sysmeta-container-update-override-"

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(ObjectRow).decode


def of(address: Address, version: Version) -> ObjectRow:
    """As Swift's object server tells it: what the system's headers override, and a manifest's size apart."""
    if version.kind is Kind.TOMBSTONE:
        return ObjectRow(address.object, version.stamp, deleted=True, policy=address.policy)
    size, etag, content_type, shown = version.size, version.etag, version.content_type, -1
    system = version.system
    if system:
        etag = system.get(OVERRIDE + "etag", etag)
        content_type = system.get(OVERRIDE + "content-type", content_type)
        size = _number(system, OVERRIDE + "size", size)
        if MANIFEST in system:
            shown = _number(system, MANIFEST_SIZE, shown)
    if not content_type.isascii():
        content_type = content_type.encode("latin-1", "replace").decode(errors="replace")
    return ObjectRow(
        address.object,
        version.stamp,
        size,
        content_type,
        etag,
        False,
        address.policy,
        version.type_stamp,
        version.meta_stamp,
        shown,
    )


def owed(address: Address, row: ObjectRow) -> OwedUpdate:
    stamp = max(row.stamp, row.type_stamp, row.meta_stamp)
    return OwedUpdate(
        account=address.account, container=address.container, object=address.object, stamp=stamp, row=_encode(row)
    )


def told(update: OwedUpdate) -> ObjectRow:
    return _decode(update.row)


def _number(system: dict[str, str], header: str, other: int) -> int:
    said = system.get(header, "")
    return int(said) if said.isdecimal() and said.isascii() else other
