# SPDX-License-Identifier: Apache-2.0
"""What every cloud has: networks, subnets and their pools, ports, routers, floating IPs, security groups, hosts."""

from __future__ import annotations

from cumulet.services.network.api import quotas, routers, subnet_pools
from cumulet.services.network.api.agents import AGENTS
from cumulet.services.network.api.families import Family
from cumulet.services.network.api.floating_ips import FLOATING_IPS
from cumulet.services.network.api.networks import NETWORKS
from cumulet.services.network.api.ports import PORTS
from cumulet.services.network.api.security_groups import SECURITY_GROUP_RULES, SECURITY_GROUPS
from cumulet.services.network.api.subnets import SUBNETS

FAMILY = Family(
    resources=(
        NETWORKS,
        SUBNETS,
        subnet_pools.SUBNET_POOLS,
        PORTS,
        routers.ROUTERS,
        FLOATING_IPS,
        SECURITY_GROUPS,
        SECURITY_GROUP_RULES,
        AGENTS,
    ),
    routes=(*routers.ROUTES, *subnet_pools.ROUTES, *quotas.ROUTES),
    extensions={
        "aap-reject-multicast": ("Allowed address pairs reject multicast extension", "2026-04-01T00:00:00-00:00"),
        "allowed-address-pairs": ("Allowed Address Pairs", "2013-07-23T10:00:00-00:00"),
        "binding": ("Port Binding", "2014-02-03T10:00:00-00:00"),
        "default-subnetpools": ("Default Subnetpools", "2016-02-18T18:00:00-00:00"),
        "empty-string-filtering": ("Empty String Filtering Extension", "2018-05-01T10:00:00-00:00"),
        "ext-gw-mode": ("Neutron L3 Configurable external gateway mode", "2013-03-28T10:00:00-00:00"),
        "external-net": ("Neutron external network", "2013-01-14T10:00:00-00:00"),
        "extra_dhcp_opt": ("Neutron Extra DHCP options", "2013-03-17T12:00:00-00:00"),
        "extraroute": ("Neutron Extra Route", "2013-02-01T10:00:00-00:00"),
        "extraroute-atomic": ("Atomically add/remove extra routes", "2019-07-10T00:00:00+00:00"),
        "filter-validation": ("Filter parameters validation", "2018-07-04T10:00:00-00:00"),
        "fip-port-details": ("Floating IP Port Details Extension", "2018-04-09T10:00:00-00:00"),
        "ip-substring-filtering": ("IP address substring filtering", "2017-11-28T09:00:00-00:00"),
        "multi-provider": ("Multi Provider Network", "2013-06-27T10:00:00-00:00"),
        "net-mtu": ("Network MTU", "2015-03-25T10:00:00-00:00"),
        "net-mtu-writable": ("Network MTU (writable)", "2017-07-12T00:00:00-00:00"),
        "pagination": ("Pagination support", "2016-06-12T00:00:00-00:00"),
        "port-mac-address-regenerate": ("Neutron Port MAC address regenerate", "2018-05-03T10:00:00-00:00"),
        "port-security": ("Port Security", "2012-07-23T10:00:00-00:00"),
        "port-security-groups-filtering": ("Port filtering on security groups", "2018-01-09T09:00:00-00:00"),
        "project-id": ("project_id field enabled", "2016-09-09T09:09:09-09:09"),
        "provider": ("Provider Network", "2012-09-07T10:00:00-00:00"),
        "qinq": ("QinQ networks", "2024-12-02T10:00:00-00:00"),
        "quota-check-limit": ("Quota engine limit check", "2021-09-08T16:00:00-00:00"),
        "quota-check-limit-default": ("Quota engine limit check by default", "2024-08-21T16:00:00-00:00"),
        "quota_details": ("Quota details management support", "2017-02-10T10:00:00-00:00"),
        "quotas": ("Quota management support", "2012-07-29T10:00:00-00:00"),
        "revision-if-match": ("If-Match constraints based on revision_number", "2016-12-11T00:00:00-00:00"),
        "router": ("Neutron L3 Router", "2012-07-20T10:00:00-00:00"),
        "security-group": ("security-group", "2012-10-05T10:00:00-00:00"),
        "security-groups-normalized-cidr": (
            "Normalized CIDR field for security group rules",
            "2020-07-28T10:00:00-00:00",
        ),
        "security-groups-rules-belongs-to-default-sg": (
            "Security group rule belongs to the project's default security group",
            "2023-05-23T10:00:00-00:00",
        ),
        "sorting": ("Sorting support", "2016-06-12T00:00:00-00:00"),
        "standard-attr-description": ("standard-attr-description", "2016-02-10T10:00:00-00:00"),
        "standard-attr-revisions": ("Resource revision numbers", "2016-04-11T10:00:00-00:00"),
        "standard-attr-tag": ("Tag support for resources with standard attribute", "2017-01-01T00:00:00-00:00"),
        "standard-attr-timestamp": ("Resource timestamps", "2016-09-12T10:00:00-00:00"),
        "stateful-security-group": ("Stateful security group", "2019-11-26T09:00:00-00:00"),
        "subnet-external-network": ("Subnet belongs to an external network", "2024-02-05T18:00:00-00:00"),
        "subnet-service-types": ("Subnet service types", "2016-03-15T18:00:00-00:00"),
        "subnet_allocation": ("Subnet Allocation", "2015-03-30T10:00:00-00:00"),
        "subnet_onboard": ("Subnet Onboard", "2018-12-18T09:00:00-00:00"),
        "subnetpool-prefix-ops": ("Subnet Pool Prefix Operations", "2019-02-08T10:00:00-00:00"),
        "tag-creation": ("Tag creation extension", "2024-23-07T10:00:00-00:00"),
        "vlan-transparent": ("Vlantransparent", "2015-03-23T09:00:00-00:00"),
    },
)
