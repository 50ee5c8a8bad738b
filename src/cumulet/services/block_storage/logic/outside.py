# SPDX-License-Identifier: Apache-2.0
"""Initiators outside this cloud, to which the volumes of iSCSI back ends are open too.

What lets one in is its attachment, or, where it asks as clients did before there were attachments, an admission. An
admission is no claim: it ends where an attachment takes the volume, or work on the volume needs it closed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import CumuletError
from cumulet.services.block_storage.contract import HOST_INITIATOR, INITIATOR, LUN
from cumulet.services.block_storage.logic import claims, exports, targets, volumes
from cumulet.services.block_storage.logic.refusals import invalid_input, invalid_volume
from cumulet.services.block_storage.logic.targets import Way
from cumulet.services.block_storage.store import admissions
from cumulet.services.block_storage.store import attachments as store
from cumulet.services.block_storage.store import volumes as volume_store
from cumulet.services.block_storage.types import VOLUME_BUSY, Admission, Attachment, AttachStatus, Volume, VolumeStatus

LOG = logging.getLogger(__name__)


def initiator(source: Source, volume: Volume, connector: Mapping[str, Any]) -> str | None:
    """Who is to be let in; None where the volume is not opened so, or by a host of this cloud.

    Invalid where the connector does not say it.
    """
    if not targets.is_served(source, volume):
        return None
    name = connector.get("initiator")
    if name is None:
        raise invalid_input("Connector doesn't have required information: initiator")
    if not isinstance(name, str) or not INITIATOR.fullmatch(name):
        raise invalid_input("The connector's initiator is not the name of one.")
    return None if name.startswith(HOST_INITIATOR) else name


def connect(cloud: Cloud, volume: Volume, claim: Attachment, connector: dict[str, Any], who: str) -> Attachment:
    """Let the initiator in for its attachment, and have that say so. A second time with the same it is done."""
    exports.admit(cloud, volume, claim.generation, who)

    def write(tx: Tx) -> Attachment:
        return claims.connect(tx, claims.again(tx, claim.id), connector)

    try:
        return cloud.db.write(write)
    except CumuletError:
        settle(cloud, volume.id)
        raise


def check_stays(claim: Attachment, who: str) -> None:
    """Raise Invalid where the attachment is that of another initiator."""
    if claim.connector is not None and claim.connector.get("initiator", who) != who:
        raise invalid_volume("Attachment is connected to another initiator already.")


def initialize(cloud: Cloud, ctx: Context, volume_id: str, connector: Mapping[str, Any]) -> Way | None:
    """Let an initiator in that has, or is to get, no attachment; None where nobody is to be let in."""
    volume = volumes.get(cloud.db, ctx, volume_id)
    volumes.check_not_maintained(volume, "connection cannot be initialized in maintenance mode")
    who = initiator(cloud.db, volume, connector)
    if who is None:
        return None
    generation = cloud.db.write(lambda tx: _generation(tx, volumes.get(tx, ctx, volume_id), who))
    return exports.admit(cloud, volume, generation, who, loose=True)


def terminate(tx: Tx, volume: Volume, connector: object) -> None:
    """The initiator of the connector, or whoever it is where it names none, needs the volume no more."""
    who = connector.get("initiator") if isinstance(connector, dict) else None
    for one in admissions.of_volumes(tx, [volume.id]):
        if who in (None, one.initiator):
            admissions.remove(tx, volume.id, one.initiator)


def settle(cloud: Cloud, volume_id: str) -> None:
    """Send those away whose attachments or admissions have ended. A host that is away does it when it is back."""
    ways = targets.ways(cloud, volume_id)
    strangers = {generation: way for generation, way in ways.items() if INITIATOR.fullmatch(way.client)}
    if not strangers:
        return
    volume = volume_store.find(cloud.db, volume_id)
    for generation in strangers.keys() - exports.wanted(cloud.db, [volume_id]).get(volume_id, set()):
        targets.forget(cloud, volume_id, generation)
        if volume is None or not volume.host:
            continue
        try:
            exports.close(cloud, volume, generation)
        except CumuletError as error:
            LOG.warning("the export of volume %s is left to be tidied up: %s", volume_id, error.message)


def way_of(cloud: Cloud, claim: Attachment) -> Way | None:
    """How an initiator outside opens the volume for its attachment, None for any other."""
    who = (claim.connector or {}).get("initiator")
    if claim.managed or not isinstance(who, str):
        return None
    found = targets.ways(cloud, claim.volume_id).get(claim.generation)
    return found if found is not None and found.client == who else None


def shown(way: Way, *, multipath: bool) -> dict[str, Any]:
    """What an initiator is told, in the words of Cinder's iSCSI targets."""
    remote = way.remote
    address = f"[{remote.address}]" if ":" in remote.address else remote.address
    portal = f"{address}:{remote.port}"
    several = {"target_portals": [portal], "target_iqns": [remote.export], "target_luns": [LUN]}
    return {
        "target_discovered": False,
        "target_portal": portal,
        "target_iqn": remote.export,
        "target_lun": LUN,
        **(several if multipath else {}),
        "auth_method": "CHAP",
        "auth_username": remote.user,
        "auth_password": way.secret,
    }


def _generation(tx: Tx, volume: Volume, who: str) -> int:
    """That of the initiator's attachment or admission, which is made where there is none.

    Where only one may have the volume, a new one takes the place of the others. Raises Invalid where it is attached.
    """
    have = store.of_volumes(tx, [volume.id])
    # One that `os-attach` has made says nothing of who opens the volume; all others are to open it, or do.
    attached = [one for one in have if not (one.by_action and one.status == AttachStatus.ATTACHED)]
    for claim in attached:
        if not claim.managed and claim.connector is not None and claim.connector.get("initiator") == who:
            return claim.generation
    if attached and not volume.multiattach:
        raise invalid_volume(f"Volume {volume.id} is attached to another host already.")
    if VolumeStatus(volume.status) in VOLUME_BUSY or volume.is_migrating:
        raise invalid_volume(f"Volume {volume.id} cannot be connected while its status is {volume.status}.")
    for one in admissions.of_volumes(tx, [volume.id]):
        if one.initiator == who:
            return one.generation
        if not volume.multiattach:
            admissions.remove(tx, volume.id, one.initiator)
    new = Admission(volume.id, who, volume.generation + 1, clock.utcnow())
    admissions.add(tx, new)
    volume_store.change(tx, volume.id, generation=new.generation)
    return new.generation
