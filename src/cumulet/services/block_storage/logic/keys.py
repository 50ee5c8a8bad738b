# SPDX-License-Identifier: Apache-2.0
"""Keys of encrypted volumes: secrets of the key manager in the volume's project, one for each volume and image.

A clone's key has the same secret as its source's, so that each may go with what it is for.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Conflict, CumuletError, Forbidden, Invalid
from cumulet.services.block_storage.logic import encryption
from cumulet.services.block_storage.logic.encryption import Need
from cumulet.services.block_storage.logic.refusals import attachment_not_found
from cumulet.services.block_storage.store import attachments, volumes
from cumulet.services.block_storage.store import volume_types as type_store
from cumulet.services.block_storage.types import Attachment, Volume
from cumulet.services.key_manager.contract import KeyManagerContract, NewSecret, SealedSecret

LOG = logging.getLogger(__name__)

T = TypeVar("T")
Sealed: TypeAlias = tuple[tuple[Need, SealedSecret], ...]


class KeyNeeded(CumuletError):
    """What was begun in a commit needs a key, which is sealed outside of one."""

    def __init__(self, need: Need) -> None:
        super().__init__("A key is needed.")
        self.need = need


class Ready:
    """Keys that were sealed for a commit, each to be taken once."""

    def __init__(self, sealed: Sealed = ()) -> None:
        self._left = list(sealed)

    def take(self, need: Need) -> SealedSecret:
        """Raises KeyNeeded where there is none (any more)."""
        for one in self._left:
            if one[0] == need:
                self._left.remove(one)
                return one[1]
        raise KeyNeeded(need)


def write(cloud: Cloud, ctx: Context, work: Callable[[Tx, Ready], T]) -> T:
    """Commit `work`: once more, with one key more, each time that it has raised KeyNeeded."""
    sealed: Sealed = ()
    while True:
        try:
            return cloud.db.write(lambda tx, have=sealed: work(tx, Ready(have)))  # type: ignore[misc]
        except KeyNeeded as error:
            sealed = (*sealed, (error.need, seal(cloud, ctx, error.need)))


def seal(cloud: Cloud, ctx: Context, need: Need) -> SealedSecret:
    """The key, in the caller's project, ready for `store`; not in a commit. Invalid where it cannot be had."""
    contract = cloud.contracts.use(KeyManagerContract)
    try:
        if need.same_as is None:
            payload, algorithm, size = os.urandom(need.size // 8), need.algorithm, need.size
        else:
            found = contract.fetch(ctx, need.same_as) if need.foreign else contract.read(need.same_as)
            payload, algorithm, size = found.payload, found.algorithm or need.algorithm, len(found.payload) * 8
        return contract.seal(ctx, NewSecret(payload=payload, type="symmetric", algorithm=algorithm, bit_length=size))
    except CumuletError as error:
        raise _refused(error) from error


def store(cloud: Cloud, tx: Tx, need: Need | None, ready: Ready | None) -> str | None:
    """Keep the key that is needed: its id, None where none is. Raises KeyNeeded where there is none yet."""
    if need is None:
        return None
    sealed = (ready or Ready()).take(need)
    try:
        return cloud.contracts.use(KeyManagerContract).store(tx, sealed)
    except CumuletError as error:
        raise _refused(error) from error


def delete(cloud: Cloud, tx: Tx, key_id: str | None) -> None:
    """What the key was for is gone."""
    if key_id is not None:
        cloud.contracts.use(KeyManagerContract).delete(tx, key_id)


def container(cloud: Cloud, volume: Volume) -> dict[str, Any] | None:
    """What the volume's host has to know to put new content into its container; None where it is not encrypted."""
    return container_of(cloud, volume.id, volume.volume_type_id, volume.encryption_key_id)


def container_of(cloud: Cloud, volume_id: str, type_id: str, key_id: str | None) -> dict[str, Any] | None:
    """The same of the container that a volume of the type has with the key."""
    if key_id is None:
        return None
    kind = type_store.find_any(cloud.db, type_id)
    said = None if kind is None else encryption.of_type(kind)
    if said is None or said.cipher is None or said.key_size is None:
        raise Conflict(f"Volume {volume_id} is encrypted, and its type does not say how.")
    return {"cipher": said.cipher, "key_size": said.key_size, "passphrase": passphrase(cloud, key_id)}


def passphrase(cloud: Cloud, key_id: str) -> str:
    """What opens the container of that key: the key in hexadecimal digits, as with Nova and os-brick."""
    return cloud.contracts.use(KeyManagerContract).read(key_id).payload.hex()


def let(cloud: Cloud, claim: Attachment, host: str) -> None:
    """The host may ask for the key of the attached volume from now on."""
    if claim.key_host != host:
        cloud.db.write(lambda tx: attachments.change(tx, claim.id, key_host=host))


def for_host(cloud: Cloud, host: str, body: dict[str, Any]) -> dict[str, str]:
    """The passphrase of the volume of the attachment `id` with this `generation`, which must be the host's."""
    claim = attachments.find(cloud.db, str(body["id"]))
    volume = None if claim is None else volumes.find(cloud.db, claim.volume_id)
    if claim is None or volume is None or claim.generation != body["generation"]:
        raise attachment_not_found(str(body["id"]))
    if host not in (claim.key_host, claim.host) or volume.encryption_key_id is None:
        LOG.warning("host %s asked for the key of volume %s, which it has not", host, volume.id)
        raise Forbidden(f"The volume of attachment {claim.id} is not this host's.")
    return {"passphrase": passphrase(cloud, volume.encryption_key_id)}


def _refused(error: CumuletError) -> Invalid:
    """Cinder says no more, so that nothing of the key manager is told to those who have no business there."""
    LOG.warning("the key manager refused a key: %s", error.message)
    return Invalid("Key manager error")
