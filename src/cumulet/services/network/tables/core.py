# SPDX-License-Identifier: Apache-2.0
"""Networks, subnets, ports, security groups, routers, floating IPs, and what the service keeps of hosts and quotas."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, DateTime, ForeignKey, Index, Integer, String, Table, Text, true

from cumulet.kernel.db.sql import Json
from cumulet.services.network.tables.base import metadata, revision, tail

network = Table(
    "network_network",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("admin_state_up", Boolean, nullable=False),
    Column("shared", Boolean, nullable=False),
    Column("external", Boolean, nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("mtu", Integer, nullable=False),
    Column("port_security_enabled", Boolean, nullable=False),
    Column("network_type", String(32), nullable=False),
    Column("physical_network", String(64), unique=True),
    Column("segmentation_id", Integer, unique=True),
    Column("availability_zone_hints", Json, nullable=False),
    *tail(),
    Column("granted", Boolean, nullable=False),
    Column("limited", Boolean, nullable=False),
    Index("network_network_project", "project_id"),
)

subnet_pool = Table(
    "network_subnet_pool",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("ip_version", Integer, nullable=False),
    Column("prefixes", Json, nullable=False),
    Column("default_prefixlen", Integer, nullable=False),
    Column("min_prefixlen", Integer, nullable=False),
    Column("max_prefixlen", Integer, nullable=False),
    Column("default_quota", Integer),
    Column("is_default", Boolean, nullable=False),
    Column("shared", Boolean, nullable=False),
    *tail(),
    Column("address_scope_id", String(36)),
    Column("granted", Boolean, nullable=False),
    Index("network_subnet_pool_project", "project_id"),
    Index("network_subnet_pool_scope", "address_scope_id"),
)

subnet = Table(
    "network_subnet",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("network_id", String(36), ForeignKey("network_network.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("ip_version", Integer, nullable=False),
    Column("cidr", String(64), nullable=False),
    Column("gateway_ip", String(64)),
    Column("enable_dhcp", Boolean, nullable=False),
    Column("allocation_pools", Json, nullable=False),
    Column("dns_nameservers", Json, nullable=False),
    Column("host_routes", Json, nullable=False),
    Column("ipv6_ra_mode", String(16)),
    Column("ipv6_address_mode", String(16)),
    Column("subnetpool_id", String(36), ForeignKey("network_subnet_pool.id")),
    Column("service_types", Json, nullable=False),
    *tail(),
    Index("network_subnet_network", "network_id"),
    Index("network_subnet_project", "project_id"),
    Index("network_subnet_pool_of", "subnetpool_id"),
)

port = Table(
    "network_port",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("network_id", String(36), ForeignKey("network_network.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("mac_address", String(32), nullable=False),
    Column("admin_state_up", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("device_id", String(255), nullable=False),
    Column("device_owner", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("vnic_type", String(64), nullable=False),
    Column("profile", Json, nullable=False),
    Column("port_security_enabled", Boolean, nullable=False),
    Column("allowed_address_pairs", Json, nullable=False),
    Column("extra_dhcp_opts", Json, nullable=False),
    Column("made_for_server", Boolean, nullable=False),
    Column("position", Integer, nullable=False),
    Column("tag", String(60)),
    *tail(),
    Column("trunk_id", String(36)),
    Column("numa_affinity_policy", String(64)),
    Column("device_profile", String(255)),
    Column("hints", Json),
    Column("hardware_offload_type", String(255)),
    Column("trusted", Boolean),
    Column("data_plane_status", String(16)),
    Column("propagate_uplink_status", Boolean, nullable=False, server_default=true()),
    Column("vif_type", String(64)),
    Column("vif_details", Json),
    Index("network_port_mac", "network_id", "mac_address", unique=True),
    Index("network_port_project", "project_id"),
    Index("network_port_device", "device_id"),
    Index("network_port_host", "host"),
    Index("network_port_network_host", "network_id", "host"),
)

allocation = Table(
    "network_allocation",
    metadata,
    Column("subnet_id", String(36), ForeignKey("network_subnet.id"), primary_key=True),
    Column("address", String(64), primary_key=True),
    Column("port_id", String(36), ForeignKey("network_port.id", ondelete="CASCADE"), nullable=False),
    Column("network_id", String(36), nullable=False),
    Column("position", Integer, nullable=False),
    Index("network_allocation_port", "port_id"),
    Index("network_allocation_address", "network_id", "address"),
)

security_group = Table(
    "network_security_group",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("is_default", Boolean, nullable=False),
    *tail(),
    Column("shared", Boolean, nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("stateful", Boolean, nullable=False),
    Index("network_security_group_project", "project_id"),
)

membership = Table(
    "network_membership",
    metadata,
    Column("port_id", String(36), ForeignKey("network_port.id", ondelete="CASCADE"), primary_key=True),
    Column("security_group_id", String(36), ForeignKey("network_security_group.id"), primary_key=True),
    Index("network_membership_group", "security_group_id"),
)

security_group_rule = Table(
    "network_security_group_rule",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column(
        "security_group_id",
        String(36),
        ForeignKey("network_security_group.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("direction", String(8), nullable=False),
    Column("ethertype", String(8), nullable=False),
    Column("protocol", String(40)),
    Column("port_range_min", Integer),
    Column("port_range_max", Integer),
    Column("remote_ip_prefix", String(64)),
    Column("remote_group_id", String(36), ForeignKey("network_security_group.id", ondelete="CASCADE")),
    Column("description", Text, nullable=False),
    *revision(),
    Column("remote_address_group_id", String(36), ForeignKey("network_address_group.id")),
    Index("network_security_group_rule_group", "security_group_id"),
    Index("network_security_group_rule_remote", "remote_group_id"),
    Index("network_security_group_rule_project", "project_id"),
    Index("network_security_group_rule_addresses", "remote_address_group_id"),
)

router = Table(
    "network_router",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("name", String(255), nullable=False),
    Column("admin_state_up", Boolean, nullable=False),
    Column("status", String(16), nullable=False),
    Column("gateway_network_id", String(36)),
    Column("gateway_port_id", String(36)),
    Column("enable_snat", Boolean, nullable=False),
    Column("routes", Json, nullable=False),
    Column("host", String(255), nullable=False),
    Column("availability_zone_hints", Json, nullable=False),
    *tail(),
    Index("network_router_project", "project_id"),
    Index("network_router_host", "host"),
)

floating_ip = Table(
    "network_floating_ip",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("project_id", String(255), nullable=False),
    Column("floating_network_id", String(36), ForeignKey("network_network.id"), nullable=False),
    Column("floating_port_id", String(36), ForeignKey("network_port.id"), nullable=False),
    Column("floating_ip_address", String(64), nullable=False),
    Column("port_id", String(36)),
    Column("fixed_ip_address", String(64)),
    Column("router_id", String(36), ForeignKey("network_router.id")),
    Column("status", String(16), nullable=False),
    *tail(),
    Index("network_floating_ip_address", "floating_network_id", "floating_ip_address", unique=True),
    Index("network_floating_ip_project", "project_id"),
    Index("network_floating_ip_port", "port_id"),
    Index("network_floating_ip_router", "router_id"),
)

quota = Table(
    "network_quota",
    metadata,
    Column("project_id", String(255), primary_key=True),
    Column("resource", String(64), primary_key=True),
    Column("limit", Integer, nullable=False),
)

agent = Table(
    "network_agent",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("host", String(255), nullable=False, unique=True),
    Column("admin_state_up", Boolean, nullable=False),
    Column("description", String(255)),
    Column("configurations", Json, nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("started_at", DateTime, nullable=False),
    Column("heartbeat_at", DateTime, nullable=False),
)

epoch = Table(
    "network_epoch",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("value", String(36), nullable=False),
)
