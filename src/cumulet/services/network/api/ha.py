# SPDX-License-Identifier: Apache-2.0
"""What is announced of routers on several hosts; their attributes are parts (`parts.ha`)."""

from __future__ import annotations

from cumulet.services.network.api.families import Family

FAMILY = Family(
    extensions={
        "dvr": ("Distributed Virtual Router", "2014-06-1T10:00:00-00:00"),
        "l3-ha": ("HA Router extension", "2014-04-26T00:00:00-00:00"),
        "network_ha": ("Network HA creation flag", "2023-04-27T10:00:00-00:00"),
        "router-admin-state-down-before-update": (
            "Enforce Router's Admin State Down Before Update Extension",
            "2019-07-02T15:56:00",
        ),
    },
)
