# SPDX-License-Identifier: Apache-2.0
"""The extensions behind what ports say for those who plug them in; the attributes are a part of ports."""

from __future__ import annotations

from cumulet.services.network.api.families import Family

FAMILY = Family(
    extensions={
        "data-plane-status": ("Port data plane status extension", "2017-01-24T10:00:00-00:00"),
        "l3-port-ip-change-not-allowed": (
            "Prevent L3 router ports IP address change extension",
            "2018-10-09T10:00:00-00:00",
        ),
        "port-device-profile": ("Port device profile", "2020-12-17T10:00:00-00:00"),
        "port-hardware-offload-type": ("Port hardware offload", "2023-05-09T10:00:00-00:00"),
        "port-hint-ovs-tx-steering": ("Port hint: Open vSwitch Tx steering", "2023-01-01T00:00:00-00:00"),
        "port-hints": ("Port hints", "2023-01-01T00:00:00-00:00"),
        "port-mac-override": ("Neutron Port MAC address override", "2022-03-18T10:00:00-00:00"),
        "port-numa-affinity-policy": ("Port NUMA affinity policy", "2020-07-08T10:00:00-00:00"),
        "port-numa-affinity-policy-socket": ('Port NUMA affinity policy "socket"', "2024-02-09T10:00:00-00:00"),
        "port-trusted-vif": ("Port trusted vif", "2024-07-10T10:00:00-00:00"),
        "tag-ports-during-bulk-creation": ("Tag Ports During Bulk Creation", "2019-12-29T19:00:00-00:00"),
        "uplink-status-propagation": ("Uplink status propagation extension", "2018-05-31T18:00:00-00:00"),
        "uplink-status-propagation-updatable": (
            "Uplink status propagation updatable extension",
            "2024-09-03T18:00:00-00:00",
        ),
    },
)
