# SPDX-License-Identifier: Apache-2.0
"""The devices of a ring: what is said of each, and what none may say."""

from __future__ import annotations

import msgspec

from cumulet.kernel.errors import Invalid

MOST_DEVICES = 1 << 31  # ids in files of format 2 have up to four bytes, the highest of which says that there is none

MOST_WEIGHT = 1e18  # of which sums are still exact enough


class Device(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A disk of a server. `weight` is its share of the partitions, 0 none; `meta` is free text.

    `ip` and `port` are where clients' requests go, the `replication_` ones where other servers' copies go.
    """

    id: int
    region: int = 1
    zone: int = 1
    ip: str
    port: int
    device: str
    weight: float
    replication_ip: str = ""
    replication_port: int = 0
    meta: str = ""

    @property
    def path(self) -> tuple[int, int, str, int]:
        """Where it is, from its region down."""
        return self.region, self.zone, self.ip, self.id


def check(device: Device) -> None:
    """Raise Invalid for what no ring can have."""
    if not 0 <= device.id < MOST_DEVICES - 1:
        raise Invalid(f"A device's id is from 0 to {MOST_DEVICES - 2}.")
    if not (0 <= device.region < MOST_DEVICES and 0 <= device.zone < MOST_DEVICES):
        raise Invalid(f"Regions and zones are numbers from 0 to {MOST_DEVICES - 1}.")
    if not (0 < device.port < 1 << 16 and 0 <= device.replication_port < 1 << 16):
        raise Invalid("A port is a number from 1 to 65535.")
    if not 0 <= device.weight <= MOST_WEIGHT:
        raise Invalid(f"A weight is a number from 0 to {MOST_WEIGHT:g}.")
    if not device.device or "/" in device.device or device.device in (".", ".."):
        raise Invalid("A device is named as its folder is.")
    if not device.ip:
        raise Invalid("A device has the address of its server.")
