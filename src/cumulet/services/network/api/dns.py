# SPDX-License-Identifier: Apache-2.0
"""The extensions behind names in DNS; what they add is parts of ports, networks, subnets and floating IPs."""

from __future__ import annotations

from cumulet.services.network.api.families import Family

FAMILY = Family(
    extensions={
        "dns-domain-ports": ("dns_domain for ports", "2017-04-24T10:00:00-00:00"),
        "dns-integration": ("DNS Integration", "2015-08-15T18:00:00-00:00"),
        "dns-integration-domain-keywords": ("DNS domain names with keywords allowed", "2020-06-15T18:00:00-00:00"),
        "subnet-dns-publish-fixed-ip": ("Subnet DNS publish fixed IP", "2019-05-24T10:00:00-00:00"),
    },
)
