# SPDX-License-Identifier: Apache-2.0
"""How volumes of a type are encrypted, and what a volume of such a type needs."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel import clock, ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.block_storage.logic import volume_types
from cumulet.services.block_storage.logic.refusals import invalid_input
from cumulet.services.block_storage.store import volume_types as store
from cumulet.services.block_storage.store import volumes
from cumulet.services.block_storage.types import GIB, Volume, VolumeType
from cumulet.services.block_storage.types.encryption import CIPHERS, HEADER, LUKS, TypeEncryption
from cumulet.services.image.contract import ImageInfo

IMAGE_KEY, IMAGE_KEY_POLICY = "cinder_encryption_key_id", "cinder_encryption_key_deletion_policy"
WITH_IMAGE = "on_image_deletion"
SHOWN = ("control_location", "cipher", "key_size", "provider")


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """The key that a volume or an image has to have: new, of `size` bits, or with the secret of the key `same_as`.

    `foreign` says that the caller has named that key, who must be allowed to read it then.
    """

    size: int = 0
    algorithm: str = "aes"
    same_as: str | None = None
    foreign: bool = False


def of_type(kind: VolumeType) -> TypeEncryption | None:
    return None if kind.encryption is None else msgspec.convert(kind.encryption, TypeEncryption)


def of_volume(source: Source, volume: Volume) -> dict[str, Any]:
    """What Cinder calls a volume's encryption metadata."""
    found: dict[str, Any] = {"encryption_key_id": volume.encryption_key_id}
    kind = store.find_any(source, volume.volume_type_id)
    said = None if kind is None else of_type(kind)
    if said is not None:
        found |= {name: getattr(said, name) for name in SHOWN}
    return found


def create(cloud: Cloud, tx: Tx, ctx: Context, type_id: str, said: dict[str, Any]) -> TypeEncryption:
    """Say how volumes of a type of which there are none yet are encrypted."""
    _check_unused(tx, type_id, "create")
    kind = volume_types.get(tx, ctx, type_id)
    if kind.encryption is not None:
        raise Invalid(f"Volume type encryption for type {type_id} already exists.", code="VolumeTypeEncryptionExists")
    new = TypeEncryption(encryption_id=ids.new_uuid(), created_at=clock.utcnow(), **said)
    _keep(tx, kind.id, new)
    payload = {"type_id": kind.id, "specs": {**said, "encryption_id": new.encryption_id}}
    cloud.outbox.publish(tx, "volume_type_encryption.create", payload, ctx.request_id)
    return new


def update(cloud: Cloud, tx: Tx, ctx: Context, type_id: str, said: dict[str, Any]) -> None:
    kind = volume_types.get(tx, ctx, type_id)
    _check_unused(tx, type_id, "update")
    have = existing(kind)
    _keep(tx, kind.id, msgspec.structs.replace(have, updated_at=clock.utcnow(), **said))
    payload = {"type_id": kind.id, "id": have.encryption_id}
    cloud.outbox.publish(tx, "volume_type_encryption.update", payload, ctx.request_id)


def delete(tx: Tx, ctx: Context, type_id: str) -> None:
    _check_unused(tx, type_id, "delete")
    kind = store.find(tx, ctx, type_id)
    if kind is None or kind.encryption is None:
        raise _not_found(type_id)
    store.change(tx, kind.id, encryption=None)


def existing(kind: VolumeType) -> TypeEncryption:
    """NotFound where the type's volumes are not encrypted."""
    found = of_type(kind)
    if found is None:
        raise _not_found(kind.id)
    return found


def differs(one: VolumeType | None, other: VolumeType) -> bool:
    """Whether a disk of the one type would have to be encrypted anew, or opened, to become one of the other."""
    have, wanted = (None if each is None else of_type(each) for each in (one, other))
    if have is None or wanted is None:
        return have is not wanted
    return any(getattr(have, name) != getattr(wanted, name) for name in SHOWN)


def check_content(volume: Volume, image: ImageInfo) -> None:
    """Invalid where the image cannot be written over the volume: it is encrypted itself, or leaves no room."""
    if IMAGE_KEY in image.properties:
        raise invalid_input(f"Image {image.id} is of an encrypted volume.")
    if volume.encryption_key_id is not None:
        _check_room(image, volume.size)


def need(kind: VolumeType, same_as: str | None, image: ImageInfo | None, size: int) -> Need | None:
    """The key that a volume of the type and of `size` GiB needs, of a source with the key `same_as` or of the image.

    None where its disk is not encrypted. Invalid for a type whose disks cannot be, and for an image that does not fit.
    """
    said = of_type(kind)
    foreign = None if image is None else image.properties.get(IMAGE_KEY)
    if said is None:
        if foreign is not None and image is not None:
            raise invalid_input(f"Image {image.id} is of an encrypted volume: the volume's type must be encrypted.")
        return None
    _check(said)
    if foreign is not None or same_as is not None:
        return Need(same_as=foreign or same_as, foreign=foreign is not None)
    if image is not None:
        _check_room(image, size)
    return Need(size=said.key_size or 0)


def _check_room(image: ImageInfo, size: int) -> None:
    if (image.virtual_size or image.size or 0) + HEADER > size * GIB:
        raise invalid_input(f"Image {image.id} does not fit beside the header of an encrypted volume of {size}GB.")


def _check(said: TypeEncryption) -> None:
    if said.cipher is None:
        raise Invalid("Invalid encryption spec", code="InvalidVolumeType")
    if said.format != LUKS:
        raise _invalid_type(f"Provider {said.provider} not supported.")
    if said.cipher not in CIPHERS:
        raise _invalid_type("Invalid cipher field in encryption type")
    if said.key_size not in CIPHERS[said.cipher]:
        raise _invalid_type(f"Invalid key size in encryption type: {said.cipher} has not {said.key_size} bits")


def _invalid_type(reason: str) -> Invalid:
    return Invalid(f"Invalid volume type: {reason}", code="InvalidVolumeType")


def _check_unused(tx: Tx, type_id: str, verb: str) -> None:
    if volumes.any_of_type(tx, type_id):
        raise Invalid(f"Cannot {verb} encryption specs. Volume type in use.")


def _keep(tx: Tx, type_id: str, said: TypeEncryption) -> None:
    store.change(tx, type_id, encryption=msgspec.to_builtins(said))


def _not_found(type_id: str) -> NotFound:
    words = f"Volume type encryption for type {type_id} does not exist."
    return NotFound(words, code="VolumeTypeEncryptionNotFound")
