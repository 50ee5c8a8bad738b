# SPDX-License-Identifier: Apache-2.0
"""Rules of what every cloud has: networks, subnets, ports, routers, floating IPs, security groups."""

from __future__ import annotations

from cumulet.services.network.policy.words import ADMIN, MANAGER, MEMBER, ON_OWN_NETWORK, OWN, READER

RULES: dict[str, str] = {
    "context_is_admin": "role:admin",
    "context_with_global_access": "!",
    "service_api": "role:service",
    "owner": "project_id:%(project_id)s",
    "admin_or_owner": "rule:context_is_admin or rule:owner",
    "context_is_advsvc": "role:advsvc",
    "admin_or_network_owner": "rule:context_is_admin or project_id:%(network:project_id)s",
    "admin_owner_or_network_owner": "rule:owner or rule:admin_or_network_owner",
    "network_owner": "project_id:%(network:project_id)s",
    "admin_only": "rule:context_is_admin",
    "regular_user": "",
    "shared": "field:networks:shared=True",
    "default": "rule:admin_or_owner",
    "admin_or_ext_parent_owner": "rule:context_is_admin or project_id:%(ext_parent:project_id)s",
    "ext_parent_owner": "project_id:%(ext_parent:project_id)s",
    "sg_owner": "project_id:%(security_group:project_id)s",
    "create_agent": ADMIN,
    "get_agent": ADMIN,
    "update_agent": ADMIN,
    "delete_agent": ADMIN,
    "get_availability_zone": "role:reader",
    "create_floatingip": MEMBER,
    "create_floatingip:floating_ip_address": MANAGER,
    "create_floatingip:router_id": MEMBER,
    "create_floatingip:tags": MEMBER,
    "get_floatingip": READER,
    "get_floatingip:tags": READER,
    "update_floatingip": MEMBER,
    "update_floatingip:router_id": MEMBER,
    "update_floatingip:tags": MEMBER,
    "delete_floatingip": MEMBER,
    "delete_floatingip:tags": MEMBER,
    "external": "field:networks:router:external=True",
    "create_network": MEMBER,
    "create_network:shared": ADMIN,
    "create_network:router:external": ADMIN,
    "create_network:is_default": ADMIN,
    "create_network:port_security_enabled": MEMBER,
    "create_network:provider:network_type": ADMIN,
    "create_network:provider:physical_network": ADMIN,
    "create_network:provider:segmentation_id": ADMIN,
    "create_network:segments": ADMIN,
    "create_network:tags": MEMBER,
    "get_network": (
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:service_api or "
        "rule:shared or rule:external or rule:context_is_advsvc"
    ),
    "get_network:provider:network_type": ADMIN,
    "get_network:provider:physical_network": ADMIN,
    "get_network:provider:segmentation_id": ADMIN,
    "get_network:segments": ADMIN,
    "get_network:tags": (
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:shared or "
        "rule:external or rule:context_is_advsvc"
    ),
    "update_network": MEMBER,
    "update_network:shared": ADMIN,
    "update_network:provider:network_type": ADMIN,
    "update_network:provider:physical_network": ADMIN,
    "update_network:provider:segmentation_id": ADMIN,
    "update_network:segments": ADMIN,
    "update_network:router:external": ADMIN,
    "update_network:is_default": ADMIN,
    "update_network:port_security_enabled": MEMBER,
    "update_network:tags": MEMBER,
    "delete_network": MEMBER,
    "delete_network:tags": MEMBER,
    "get_network_ip_availability": "(rule:admin_only) or (rule:service_api)",
    "network_device": "field:port:device_owner=~^network:",
    "compute_device": "field:port:device_owner=~^compute:",
    "baremetal_device": "field:port:device_owner=~^baremetal:",
    "manila_device": "field:port:device_owner=~^manila:",
    "admin_or_data_plane_int": "rule:context_is_admin or role:data_plane_integrator",
    "create_port": "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner or rule:shared",
    "create_port:device_id": "(rule:admin_only) or (role:member and project_id:%(project_id)s) or rule:service_api",
    "create_port:device_owner": (
        "not rule:network_device or (rule:admin_only) or (rule:service_api) or role:member and rule:network_owner"
    ),
    "create_port:mac_address": "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner",
    "create_port:fixed_ips": (
        "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner or rule:shared"
    ),
    "create_port:fixed_ips:ip_address": (
        "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner"
    ),
    "create_port:fixed_ips:subnet_id": (
        "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner or rule:shared"
    ),
    "create_port:port_security_enabled": (
        "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner"
    ),
    "create_port:binding:host_id": "(rule:admin_only) or (rule:service_api)",
    "create_port:binding:profile": "rule:service_api",
    "create_port:binding:vnic_type": (
        "(rule:admin_only) or (role:member and project_id:%(project_id)s) or rule:service_api"
    ),
    "create_port:allowed_address_pairs": (
        "(rule:admin_only) or (role:member and rule:network_owner) or rule:service_api"
    ),
    "create_port:allowed_address_pairs:mac_address": (
        "(rule:admin_only) or (role:member and rule:network_owner) or rule:service_api"
    ),
    "create_port:allowed_address_pairs:ip_address": (
        "(rule:admin_only) or (role:member and rule:network_owner) or rule:service_api"
    ),
    "create_port:tags": "(rule:admin_only) or (role:member and project_id:%(project_id)s) or rule:context_is_advsvc",
    "get_port": (
        "(rule:admin_only) or (rule:service_api) or role:reader and rule:network_owner or "
        "role:reader and project_id:%(project_id)s"
    ),
    "get_port:binding:vif_type": "(rule:admin_only) or (rule:service_api)",
    "get_port:binding:vif_details": "(rule:admin_only) or (rule:service_api)",
    "get_port:binding:host_id": "(rule:admin_only) or (rule:service_api)",
    "get_port:binding:profile": "(rule:admin_only) or (rule:service_api)",
    "get_port:tags": (
        "rule:context_is_advsvc or (rule:admin_only) or (role:reader and rule:network_owner) or "
        "role:reader and project_id:%(project_id)s"
    ),
    "update_port": "(rule:admin_only) or (rule:service_api) or role:member and project_id:%(project_id)s",
    "update_port:device_id": "(rule:admin_only) or (role:member and project_id:%(project_id)s) or rule:service_api",
    "update_port:device_owner": (
        "not rule:network_device or (rule:admin_only) or (rule:service_api) or role:member and rule:network_owner"
    ),
    "update_port:mac_address": "(rule:admin_only) or (rule:service_api) or role:manager and rule:network_owner",
    "update_port:fixed_ips": "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner",
    "update_port:fixed_ips:ip_address": (
        "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner"
    ),
    "update_port:fixed_ips:subnet_id": (
        "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner or rule:shared"
    ),
    "update_port:port_security_enabled": (
        "(rule:admin_only) or (rule:service_api) or role:member and rule:network_owner"
    ),
    "update_port:binding:host_id": "(rule:admin_only) or (rule:service_api)",
    "update_port:binding:profile": "rule:service_api",
    "update_port:binding:vnic_type": (
        "(rule:admin_only) or (rule:service_api) or role:member and project_id:%(project_id)s"
    ),
    "update_port:allowed_address_pairs": (
        "(rule:admin_only) or (role:member and rule:network_owner) or rule:service_api"
    ),
    "update_port:allowed_address_pairs:mac_address": (
        "(rule:admin_only) or (role:member and rule:network_owner) or rule:service_api"
    ),
    "update_port:allowed_address_pairs:ip_address": (
        "(rule:admin_only) or (role:member and rule:network_owner) or rule:service_api"
    ),
    "update_port:tags": "(rule:admin_only) or (role:member and project_id:%(project_id)s) or rule:context_is_advsvc",
    "delete_port": (
        "(rule:admin_only) or (rule:service_api) or "
        f"(service_roles:service and ({ON_OWN_NETWORK} or {OWN})) or "
        "(not rule:compute_device and not rule:baremetal_device and not rule:manila_device and "
        f"({ON_OWN_NETWORK} or {OWN}))"
    ),
    "delete_port:tags": (
        "rule:context_is_advsvc or role:member and project_id:%(project_id)s or "
        "(rule:admin_only) or (role:member and rule:network_owner)"
    ),
    "get_quota": MANAGER,
    "update_quota": ADMIN,
    "delete_quota": ADMIN,
    "create_router": MEMBER,
    "create_router:external_gateway_info": MEMBER,
    "create_router:external_gateway_info:network_id": MEMBER,
    "create_router:external_gateway_info:enable_snat": ADMIN,
    "create_router:external_gateway_info:external_fixed_ips": ADMIN,
    "create_router:tags": MEMBER,
    "get_router": READER,
    "get_router:tags": READER,
    "update_router": MEMBER,
    "update_router:external_gateway_info": MEMBER,
    "update_router:external_gateway_info:network_id": MEMBER,
    "update_router:external_gateway_info:enable_snat": ADMIN,
    "update_router:external_gateway_info:external_fixed_ips": ADMIN,
    "update_router:tags": MEMBER,
    "delete_router": MEMBER,
    "delete_router:tags": MEMBER,
    "add_router_interface": MEMBER,
    "remove_router_interface": MEMBER,
    "add_extraroutes": MEMBER,
    "remove_extraroutes": MEMBER,
    "admin_or_sg_owner": "rule:context_is_admin or project_id:%(security_group:project_id)s",
    "admin_owner_or_sg_owner": "rule:owner or rule:admin_or_sg_owner",
    "shared_security_group": "field:security_groups:shared=True",
    "rule_default_sg": "field:security_group_rules:belongs_to_default_sg=True",
    "create_default_security_group": (
        "(rule:admin_only) or (rule:service_api) or role:reader and project_id:%(project_id)s"
    ),
    "create_security_group": MEMBER,
    "create_security_group:tags": MEMBER,
    "get_security_group": (
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:shared_security_group"
    ),
    "get_security_group:tags": (
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:shared_security_group"
    ),
    "update_security_group": MEMBER,
    "update_security_group:tags": MEMBER,
    "delete_security_group": MEMBER,
    "delete_security_group:tags": MEMBER,
    "create_security_group_rule": "(rule:admin_only) or (role:member and rule:sg_owner)",
    "get_security_group_rule": "(rule:admin_only) or (role:reader and rule:sg_owner)",
    "delete_security_group_rule": "(rule:admin_only) or (role:member and rule:sg_owner)",
    "get_service_provider": "role:reader",
    "shared_subnetpools": "field:subnetpools:shared=True",
    "create_subnetpool": MEMBER,
    "create_subnetpool:shared": ADMIN,
    "create_subnetpool:is_default": ADMIN,
    "create_subnetpool:tags": MEMBER,
    "get_subnetpool": f"{READER} or rule:shared_subnetpools",
    "get_subnetpool:tags": f"{READER} or rule:shared_subnetpools",
    "update_subnetpool": MEMBER,
    "update_subnetpool:is_default": ADMIN,
    "update_subnetpool:tags": MEMBER,
    "delete_subnetpool": MEMBER,
    "delete_subnetpool:tags": MEMBER,
    "onboard_network_subnets": MEMBER,
    "add_prefixes": MEMBER,
    "remove_prefixes": MEMBER,
    "external_network": "field:subnets:router:external=True",
    "create_subnet": "(rule:admin_only) or (role:member and rule:network_owner)",
    "create_subnet:service_types": ADMIN,
    "create_subnet:tags": (
        "role:member and project_id:%(project_id)s or (rule:admin_only) or (role:member and rule:network_owner)"
    ),
    "get_subnet": (
        "role:reader and project_id:%(project_id)s or rule:shared or rule:external_network or "
        "(rule:admin_only) or (role:reader and rule:network_owner) or rule:service_api"
    ),
    "get_subnet:tags": (
        "role:reader and project_id:%(project_id)s or rule:shared or rule:external_network or "
        "(rule:admin_only) or (role:reader and rule:network_owner)"
    ),
    "update_subnet": (
        "role:member and project_id:%(project_id)s or (rule:admin_only) or (role:member and rule:network_owner)"
    ),
    "update_subnet:service_types": ADMIN,
    "update_subnet:tags": (
        "role:member and project_id:%(project_id)s or (rule:admin_only) or (role:member and rule:network_owner)"
    ),
    "delete_subnet": (
        "role:member and project_id:%(project_id)s or (rule:admin_only) or (role:member and rule:network_owner)"
    ),
    "delete_subnet:tags": (
        "role:member and project_id:%(project_id)s or (rule:admin_only) or (role:member and rule:network_owner)"
    ),
}
