# SPDX-License-Identifier: Apache-2.0
"""Another volume in the place of one that a server has: what block storage moves a volume in use by.

As with Nova the API exchanges only volumes that are on the move (`migration_status`), which administrators and block
storage say of them.
"""

from __future__ import annotations

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.block_storage.contract import VolumeInfo, VolumesContract
from cumulet.services.compute.logic import actions, servers
from cumulet.services.compute.logic import volumes as volumes_logic
from cumulet.services.compute.store import devices as store
from cumulet.services.compute.types import Device, Server

SWAP, EVENT = "compute.swap_volume", "compute_swap_volume"


def swap(cloud: Cloud, ctx: Context, server: Server, old_id: str, new_id: str) -> None:
    """Begin to exchange the volumes, as a user asks; NotFound, Conflict or Invalid where they cannot be."""
    contract = cloud.contracts.use(VolumesContract)
    known = contract.info(cloud.db, [old_id, new_id])
    old, new = (_seen(ctx, known.get(each)) for each in (old_id, new_id))
    if old is None:
        raise NotFound(f"Volume {old_id} could not be found.", code="VolumeNotFound")
    if not old.migration_status:
        raise Conflict(f"volume {old_id} is not migrating; this API should only be called by Cinder")
    if new is None:
        raise Invalid(f"Volume {new_id} could not be found.", code="VolumeNotFound")
    servers.check_unlocked(ctx, server)
    servers.check_state(server, "swap_volume", "swap_volume")
    _check(cloud.db, contract, server, old, new)
    cloud.db.write(lambda tx: begin(cloud, tx, ctx, server, old_id, new_id))


def begin(cloud: Cloud, tx: Tx, ctx: Context, server: Server, old_id: str, new_id: str) -> None:
    """Claim the new volume and begin to exchange it for the old one; Invalid or NotFound where that cannot be."""
    device = volumes_logic.get(tx, server, old_id)
    claim = cloud.contracts.use(VolumesContract).reserve(tx, ctx, new_id, server.id)
    actions.begin(tx, ctx, server.id, "swap_volume")
    words = {"device": device.id, "old": old_id, "new": new_id, "old_claim": device.attachment_id, "claim": claim.id}
    cloud.sagas.start(tx, SWAP, server.id, words, ctx.request_id)


def check_plain(cloud: Cloud, old_id: str, new_id: str) -> None:
    """Conflict where one of them is encrypted: as with Nova that is found out when the exchange has been begun."""
    known = cloud.contracts.use(VolumesContract).info(cloud.db, [old_id, new_id])
    if any(each.encrypted for each in known.values()):
        raise Conflict("Swap volume is not supported for encrypted volumes when native LUKS decryption is enabled.")


def exchanged(cloud: Cloud, tx: Tx, server: Server, device: Device, new_id: str, claim_id: str) -> None:
    """The server has the new volume in the place of the old one, which is free."""
    contract = cloud.contracts.use(VolumesContract)
    found = contract.info(tx, [new_id]).get(new_id)
    changes = {
        "source_type": "volume",
        "source_id": new_id,
        "volume_id": new_id,
        "attachment_id": claim_id,
        "volume_size": device.volume_size if found is None else found.size,
        "attached": True,
    }
    store.change(tx, device.id, changes)
    contract.attach(tx, claim_id, server.host, device.device_name)
    if device.attachment_id is not None:
        contract.detach(tx, device.attachment_id)
    contract.swap_ended(tx, str(device.volume_id), new_id, failed=False)


def _check(source: Source, contract: VolumesContract, server: Server, old: VolumeInfo, new: VolumeInfo) -> None:
    if store.find(source, server.id, old.id) is None:
        raise _invalid("Old volume is attached to a different instance.")
    if any(claim.status == "attached" for claim in contract.attachments_on(source, new.id)):
        raise _invalid("New volume must be detached in order to swap.")
    if new.size < old.size:
        raise _invalid("New volume must be the same size or larger.")
    writers = [claim for claim in contract.attachments_on(source, old.id) if claim.mode == "rw"]
    if len(writers) > 1:
        raise Invalid(
            "Swapping multi-attach volumes with more than one read/write attachment is not supported.",
            code="MultiattachSwapVolumeNotSupported",
        )
    if store.of_volume(source, new.id):
        raise _invalid(f"volume {new.id} already attached")


def _seen(ctx: Context, volume: VolumeInfo | None) -> VolumeInfo | None:
    if volume is None or not (volume.project_id == ctx.project_id or ctx.is_admin or ctx.is_service):
        return None
    return volume


def _invalid(reason: str) -> Invalid:
    return Invalid(f"Invalid volume: {reason}", code="InvalidVolume")
