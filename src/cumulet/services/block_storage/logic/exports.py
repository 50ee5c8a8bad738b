# SPDX-License-Identifier: Apache-2.0
"""The ways by which servers of one host open volumes of another: opened, closed, and tidied up."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.services.block_storage.contract import Connection, RemoteDisk
from cumulet.services.block_storage.logic import backends, keys, limits, sharing, targets
from cumulet.services.block_storage.logic.refusals import attachment_not_found, volume_not_found
from cumulet.services.block_storage.store import admissions
from cumulet.services.block_storage.store import attachments as store
from cumulet.services.block_storage.store import volumes as volume_store
from cumulet.services.block_storage.types import Attachment, Volume, is_shared

LOG = logging.getLogger(__name__)

CERTIFICATE_TIME = 365 * 86_400.0  # seconds
EXPORT_TIME = 60.0  # seconds until a host must have begun to export


def connect(cloud: Cloud, attachment_id: str, host: str) -> Connection:
    """See `contract.VolumesContract.connect`."""
    claim = store.find(cloud.db, attachment_id)
    if claim is None:
        raise attachment_not_found(attachment_id)
    volume = volume_store.find(cloud.db, claim.volume_id)
    if volume is None:
        raise volume_not_found(claim.volume_id)
    return connect_to(cloud, volume, claim, host, claim.generation)


def connect_to(cloud: Cloud, volume: Volume, claim: Attachment, host: str, generation: int) -> Connection:
    """The same for a volume at one of its places, the claim on which has, or will have, this generation."""
    encrypted = volume.encryption_key_id is not None
    if encrypted:
        _check_opens_containers(cloud, host)
        keys.let(cloud, claim, host)
    own = Connection(
        generation=generation,
        read_only=claim.mode == "ro",
        limits=limits.of_volume(cloud.db, volume),
        encrypted=encrypted,
        backend=volume.backend,
    )
    if is_shared(volume.host):
        sharing.check_opens(cloud.db, volume, host)
        return own
    if is_direct(cloud.db, volume, host):
        return own
    remote, _secret = _export(cloud, volume, generation, host, served=targets.is_served(cloud.db, volume))
    return msgspec.structs.replace(own, remote=remote)


def is_direct(source: Source, volume: Volume, host: str) -> bool:
    """Whether servers of the host open the volume's disk themselves."""
    own = volume.host == host and not volume.multiattach
    return is_shared(volume.host) or (own and not targets.is_served(source, volume))


def _check_opens_containers(cloud: Cloud, host: str) -> None:
    """Conflict where the host is of a release that would give its servers the ciphertext."""
    if not backends.encrypts(cloud.db, host):
        raise Conflict(f"Host {host} opens no encrypted volumes.", code="EncryptionNotSupported")


def admit(cloud: Cloud, volume: Volume, generation: int, initiator: str, *, loose: bool = False) -> targets.Way:
    """See that an initiator outside this cloud can open a volume of an iSCSI back end; a `loose` one by no attachment.

    Blocks; idempotent. Raises NotReady while the volume's host is away, Conflict where an attachment is younger.
    """
    remote, secret = _export(cloud, volume, generation, initiator, served=True, loose=loose)
    return targets.Way(client=initiator, remote=remote, secret=secret)


def _export(
    cloud: Cloud, volume: Volume, generation: int, client: str, *, served: bool, loose: bool = False
) -> tuple[RemoteDisk, str]:
    """Have the volume's host export it to the client for the attachment with this generation; the secret is kept."""
    body = {"id": volume.id, "generation": generation, "client": client, "shared": volume.multiattach}
    body |= {"backend": volume.backend, "protocol": "iscsi" if served else "nbd", **({"loose": True} if loose else {})}
    answer = dict(cloud.hosts.call(volume.host, "volume.export", body, timeout=EXPORT_TIME))
    secret = str(answer.pop("secret", ""))
    remote = msgspec.convert(answer, RemoteDisk)
    if secret:
        way = targets.Way(client=client, remote=remote, secret=secret)
        targets.keep(cloud, volume.id, generation, way)
    return remote, secret


def disconnect(cloud: Cloud, attachment_id: str) -> None:
    """See `contract.VolumesContract.disconnect`."""
    claim = store.find(cloud.db, attachment_id)
    volume = None if claim is None else volume_store.find(cloud.db, claim.volume_id)
    if claim is None or volume is None or not volume.host:
        return
    if not is_direct(cloud.db, volume, claim.host or ""):
        close(cloud, volume, claim.generation)


def close(cloud: Cloud, volume: Volume, generation: int) -> None:
    """End the way of the attachment with this generation to the volume at one of its places."""
    if is_shared(volume.host):
        return
    if targets.is_served(cloud.db, volume):
        targets.forget(cloud, volume.id, generation)
    try:
        body = {"id": volume.id, "generation": generation, "backend": volume.backend}
        cloud.hosts.call(volume.host, "volume.unexport", body)
    except NotReady as error:
        LOG.warning("the export of volume %s is left to be tidied up: %s", volume.id, error.message)


def wanted(source: Source, volume_ids: Iterable[str]) -> dict[str, set[int]]:
    """The generations of all that may open volumes, by volume: attachments, and initiators without any."""
    ids, found = list(volume_ids), dict[str, set[int]]()
    pairs = [(one.volume_id, one.generation) for one in store.of_volumes(source, ids)]
    pairs += [(one.volume_id, one.generation) for one in admissions.of_volumes(source, ids)]
    for volume_id, generation in pairs:
        found.setdefault(volume_id, set()).add(generation)
    return found


def certificate(cloud: Cloud, host: str, body: dict[str, Any]) -> dict[str, str]:
    """A certificate for the disks of `host`, for the key of the signing request `request`. Raises Invalid."""
    # Loaded late: a cloud of one host never needs it.
    from cumulet.kernel.link.authority import Authority

    authority = Authority(cloud.vault)
    signed = authority.sign_host(host, str(body.get("request", "")), CERTIFICATE_TIME)
    return {"certificate": signed, "authority": authority.certificate}


def tidy(cloud: Cloud, host: str, reported: dict[str, list[int]]) -> None:
    """End the exports that `host` reports though their attachments are gone; `reported`: generations by volume."""
    if not reported:
        return
    known = wanted(cloud.db, reported)
    # One on the move is exported for no attachment.
    moving = {each.id for each in volume_store.find_many(cloud.db, list(reported)) if each.is_migrating}
    for volume_id, generation in ((key, each) for key, listed in reported.items() for each in listed):
        if generation not in known.get(volume_id, ()) and volume_id not in moving:
            LOG.warning("volume %s is exported by %s for an attachment that is gone: ended", volume_id, host)
            targets.forget(cloud, volume_id, generation)
            cloud.hosts.call(host, "volume.unexport", {"id": volume_id, "generation": generation})
