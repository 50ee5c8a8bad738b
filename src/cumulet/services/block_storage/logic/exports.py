# SPDX-License-Identifier: Apache-2.0
"""The ways by which servers of one host open volumes of another: opened, closed, and tidied up."""

from __future__ import annotations

import logging
from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import NotReady
from cumulet.services.block_storage.contract import Connection, RemoteDisk
from cumulet.services.block_storage.logic.refusals import attachment_not_found, volume_not_found
from cumulet.services.block_storage.store import attachments as store
from cumulet.services.block_storage.store import volumes as volume_store

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
    read_only = claim.mode == "ro"
    if volume.host == host and not volume.multiattach:
        return Connection(generation=claim.generation, read_only=read_only)
    body = {"id": volume.id, "generation": claim.generation, "client": host, "shared": volume.multiattach}
    answer = cloud.hosts.call(volume.host, "volume.export", body, timeout=EXPORT_TIME)
    remote = msgspec.convert(answer, RemoteDisk)
    return Connection(generation=claim.generation, remote=remote, read_only=read_only)


def disconnect(cloud: Cloud, attachment_id: str) -> None:
    """See `contract.VolumesContract.disconnect`."""
    claim = store.find(cloud.db, attachment_id)
    volume = None if claim is None else volume_store.find(cloud.db, claim.volume_id)
    if claim is None or volume is None or not volume.host:
        return
    if volume.host == claim.host and not volume.multiattach:
        return
    try:
        cloud.hosts.call(volume.host, "volume.unexport", {"id": volume.id, "generation": claim.generation})
    except NotReady as error:
        LOG.warning("the export of volume %s is left to be tidied up: %s", volume.id, error.message)


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
    wanted = {(claim.volume_id, claim.generation) for claim in store.of_volumes(cloud.db, list(reported))}
    for volume_id, generation in ((key, each) for key, listed in reported.items() for each in listed):
        if (volume_id, generation) not in wanted:
            LOG.warning("volume %s is exported by %s for an attachment that is gone: ended", volume_id, host)
            cloud.hosts.call(host, "volume.unexport", {"id": volume_id, "generation": generation})
