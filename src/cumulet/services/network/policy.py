# SPDX-License-Identifier: Apache-2.0
"""Who may do what by default: Neutron's rule names, defaults and scopes (its 2026.2 release, new defaults only)."""

from __future__ import annotations

_ADMIN = "rule:admin_only"
_MEMBER = "(rule:admin_only) or (role:member and project_id:%(project_id)s)"
_READER = "(rule:admin_only) or (role:reader and project_id:%(project_id)s)"
_MANAGER = "(rule:admin_only) or (role:manager and project_id:%(project_id)s)"

_OWN = "role:member and project_id:%(project_id)s"
_ON_OWN_NETWORK = "role:member and rule:network_owner"

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
    "create_agent": _ADMIN,
    "get_agent": _ADMIN,
    "update_agent": _ADMIN,
    "delete_agent": _ADMIN,
    "get_availability_zone": "role:reader",
    "create_floatingip": _MEMBER,
    "create_floatingip:floating_ip_address": _MANAGER,
    "create_floatingip:router_id": _MEMBER,
    "create_floatingip:tags": _MEMBER,
    "get_floatingip": _READER,
    "get_floatingip:tags": _READER,
    "update_floatingip": _MEMBER,
    "update_floatingip:router_id": _MEMBER,
    "update_floatingip:tags": _MEMBER,
    "delete_floatingip": _MEMBER,
    "delete_floatingip:tags": _MEMBER,
    "external": "field:networks:router:external=True",
    "create_network": _MEMBER,
    "create_network:shared": _ADMIN,
    "create_network:router:external": _ADMIN,
    "create_network:is_default": _ADMIN,
    "create_network:port_security_enabled": _MEMBER,
    "create_network:provider:network_type": _ADMIN,
    "create_network:provider:physical_network": _ADMIN,
    "create_network:provider:segmentation_id": _ADMIN,
    "create_network:tags": _MEMBER,
    "get_network": (
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:service_api or "
        "rule:shared or rule:external or rule:context_is_advsvc"
    ),
    "get_network:provider:network_type": _ADMIN,
    "get_network:provider:physical_network": _ADMIN,
    "get_network:provider:segmentation_id": _ADMIN,
    "get_network:tags": (
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:shared or "
        "rule:external or rule:context_is_advsvc"
    ),
    "update_network": _MEMBER,
    "update_network:shared": _ADMIN,
    "update_network:provider:network_type": _ADMIN,
    "update_network:provider:physical_network": _ADMIN,
    "update_network:provider:segmentation_id": _ADMIN,
    "update_network:router:external": _ADMIN,
    "update_network:is_default": _ADMIN,
    "update_network:port_security_enabled": _MEMBER,
    "update_network:tags": _MEMBER,
    "delete_network": _MEMBER,
    "delete_network:tags": _MEMBER,
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
        f"(service_roles:service and ({_ON_OWN_NETWORK} or {_OWN})) or "
        "(not rule:compute_device and not rule:baremetal_device and not rule:manila_device and "
        f"({_ON_OWN_NETWORK} or {_OWN}))"
    ),
    "delete_port:tags": (
        "rule:context_is_advsvc or role:member and project_id:%(project_id)s or "
        "(rule:admin_only) or (role:member and rule:network_owner)"
    ),
    "get_quota": _MANAGER,
    "update_quota": _ADMIN,
    "delete_quota": _ADMIN,
    "create_router": _MEMBER,
    "create_router:external_gateway_info": _MEMBER,
    "create_router:external_gateway_info:network_id": _MEMBER,
    "create_router:external_gateway_info:enable_snat": _ADMIN,
    "create_router:external_gateway_info:external_fixed_ips": _ADMIN,
    "create_router:tags": _MEMBER,
    "get_router": _READER,
    "get_router:tags": _READER,
    "update_router": _MEMBER,
    "update_router:external_gateway_info": _MEMBER,
    "update_router:external_gateway_info:network_id": _MEMBER,
    "update_router:external_gateway_info:enable_snat": _ADMIN,
    "update_router:external_gateway_info:external_fixed_ips": _ADMIN,
    "update_router:tags": _MEMBER,
    "delete_router": _MEMBER,
    "delete_router:tags": _MEMBER,
    "add_router_interface": _MEMBER,
    "remove_router_interface": _MEMBER,
    "add_extraroutes": _MEMBER,
    "remove_extraroutes": _MEMBER,
    "admin_or_sg_owner": "rule:context_is_admin or project_id:%(security_group:project_id)s",
    "admin_owner_or_sg_owner": "rule:owner or rule:admin_or_sg_owner",
    "shared_security_group": "field:security_groups:shared=True",
    "rule_default_sg": "field:security_group_rules:belongs_to_default_sg=True",
    "create_security_group": _MEMBER,
    "create_security_group:tags": _MEMBER,
    "get_security_group": (
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:shared_security_group"
    ),
    "get_security_group:tags": (
        "(rule:admin_only) or (role:reader and project_id:%(project_id)s) or rule:shared_security_group"
    ),
    "update_security_group": _MEMBER,
    "update_security_group:tags": _MEMBER,
    "delete_security_group": _MEMBER,
    "delete_security_group:tags": _MEMBER,
    "create_security_group_rule": "(rule:admin_only) or (role:member and rule:sg_owner)",
    "get_security_group_rule": "(rule:admin_only) or (role:reader and rule:sg_owner)",
    "delete_security_group_rule": "(rule:admin_only) or (role:member and rule:sg_owner)",
    "get_service_provider": "role:reader",
    "shared_subnetpools": "field:subnetpools:shared=True",
    "create_subnetpool": _MEMBER,
    "create_subnetpool:shared": _ADMIN,
    "create_subnetpool:is_default": _ADMIN,
    "create_subnetpool:tags": _MEMBER,
    "get_subnetpool": f"{_READER} or rule:shared_subnetpools",
    "get_subnetpool:tags": f"{_READER} or rule:shared_subnetpools",
    "update_subnetpool": _MEMBER,
    "update_subnetpool:is_default": _ADMIN,
    "update_subnetpool:tags": _MEMBER,
    "delete_subnetpool": _MEMBER,
    "delete_subnetpool:tags": _MEMBER,
    "onboard_network_subnets": _MEMBER,
    "add_prefixes": _MEMBER,
    "remove_prefixes": _MEMBER,
    "external_network": "field:subnets:router:external=True",
    "create_subnet": "(rule:admin_only) or (role:member and rule:network_owner)",
    "create_subnet:service_types": _ADMIN,
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
    "update_subnet:service_types": _ADMIN,
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

_VERBS = ("create_", "get_", "update_", "delete_", "add_", "remove_", "onboard_")

SCOPES = dict.fromkeys((name for name in RULES if name.startswith(_VERBS)), ("project",))
