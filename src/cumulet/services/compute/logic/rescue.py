# SPDX-License-Identifier: Apache-2.0
"""Booting a server from another disk to mend it: which disk, and how it is plugged in."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Tx
from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic import images, life, servers
from cumulet.services.compute.store import life as store
from cumulet.services.compute.types import RescueSpec, Server

BUS, DEVICE = "hw_rescue_bus", "hw_rescue_device"
_DEFAULT_BUS = {"disk": "virtio", "cdrom": "ide"}
_PLUGS = {"disk": ("virtio", "scsi", "ide", "sata", "usb"), "cdrom": ("scsi", "ide", "sata")}


def rescue(cloud: Cloud, ctx: Context, server_id: str, image_id: str | None, *, with_volume: bool) -> None:
    """Begin to boot from a disk made of the image, of the server's own where none is given.

    `with_volume` says that servers whose root disk is a volume can be rescued, by a disk that is plugged in last.
    """
    server = servers.get(cloud.db, ctx, server_id)
    life.check(ctx, server, life.RESCUE)
    wanted = _disk(cloud, ctx, server, image_id, with_volume=with_volume)

    def write(tx: Tx) -> None:
        fresh = servers.get(tx, ctx, server_id)
        life.check(ctx, fresh, life.RESCUE)
        words = msgspec.to_builtins(wanted)
        store.change(tx, fresh.id, rescue=words)
        life.begin(cloud, tx, ctx, fresh, life.RESCUE, {"rescue": words})

    cloud.db.write(write)


def _disk(cloud: Cloud, ctx: Context, server: Server, image_id: str | None, *, with_volume: bool) -> RescueSpec:
    if image_id is not None:
        try:
            image = images.get_usable(cloud, ctx, image_id)
        except Invalid as error:
            raise Invalid(f"Requested rescue image '{image_id}' is not supported", code="UnsupportedRescueImage") from (
                error
            )
        kind, words = image.disk_format, image.properties
    else:
        kind, words = server.image.get("disk_format", "qcow2"), server.image.get("properties", {})
    is_stable = BUS in words and DEVICE in words
    if not server.image_id and not (with_volume and is_stable and image_id is not None):
        raise Invalid(
            f"Instance {server.id} cannot be rescued: Cannot rescue a volume-backed instance",
            code="InstanceNotRescuable",
        )
    bus, device = _plug(words)
    return RescueSpec(image_id=image_id or server.image_id, image_format=kind, bus=bus, device=device)


def _plug(words: Mapping[str, str]) -> tuple[str, str]:
    """Bus and device that the image asks for; no bus where it says nothing of either."""
    if BUS not in words and DEVICE not in words:
        return "", "disk"
    device = words.get(DEVICE, "disk")
    if device not in _PLUGS:
        raise Invalid(f"Requested rescue device '{device}' is not supported", code="UnsupportedRescueDevice")
    bus = words.get(BUS, _DEFAULT_BUS[device])
    if bus not in _PLUGS[device]:
        raise Invalid(
            f"Requested rescue bus '{bus}' is not supported by the 'QEMU' virt driver", code="UnsupportedRescueBus"
        )
    return bus, device
