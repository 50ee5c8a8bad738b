# SPDX-License-Identifier: Apache-2.0
"""The default rules of the image service: Glance's names, defaults and scopes."""

_ADMIN = "rule:context_is_admin"
_OWN = "project_id:%(project_id)s"
_SHARED = "project_id:%(member_id)s"
_OPEN = "'community':%(visibility)s or 'public':%(visibility)s or 'shared':%(visibility)s"

ADMIN_OR_MEMBER = f"{_ADMIN} or (role:member and {_OWN})"
ADMIN_OR_READER = f"{_ADMIN} or (role:reader and {_OWN})"
SEE = f"{_ADMIN} or (role:reader and ({_OWN} or {_SHARED} or {_OPEN}))"
DOWNLOAD = f"{_ADMIN} or (role:member and ({_OWN} or {_SHARED} or {_OPEN}))"
SEE_MEMBERS = f"{_ADMIN} or role:reader and ({_OWN} or {_SHARED})"
SEE_NAMESPACE = f"{_ADMIN} or (role:reader and ({_OWN} or 'public':%(visibility)s))"
_METADEF_ADMIN = "rule:metadef_admin"

RULES = {
    "default": "",
    "context_is_admin": "role:admin",
    "service_api": "role:service or role:admin",
    "add_image": f"{_ADMIN} or (role:member and {_OWN} and project_id:%(owner)s)",
    "delete_image": ADMIN_OR_MEMBER,
    "get_image": SEE,
    "get_images": ADMIN_OR_READER,
    "modify_image": ADMIN_OR_MEMBER,
    "publicize_image": _ADMIN,
    "communitize_image": ADMIN_OR_MEMBER,
    "download_image": DOWNLOAD,
    "download_from_store": DOWNLOAD,
    "upload_image": ADMIN_OR_MEMBER,
    "delete_image_location": _ADMIN,
    "get_image_location": ADMIN_OR_READER,
    "set_image_location": ADMIN_OR_MEMBER,
    "add_image_location": f"rule:service_api or (role:member and {_OWN} and project_id:%(owner)s)",
    "fetch_image_location": "rule:service_api",
    "add_member": ADMIN_OR_MEMBER,
    "delete_member": ADMIN_OR_MEMBER,
    "get_member": SEE_MEMBERS,
    "get_members": SEE_MEMBERS,
    "modify_member": f"{_ADMIN} or (role:member and {_SHARED})",
    "manage_image_cache": _ADMIN,
    "cache_image": _ADMIN,
    "cache_list": _ADMIN,
    "cache_delete": _ADMIN,
    "cache_clean": _ADMIN,
    "cache_prune": _ADMIN,
    "list_cached_nodes": _ADMIN,
    "deactivate": ADMIN_OR_MEMBER,
    "reactivate": ADMIN_OR_MEMBER,
    "copy_image": _ADMIN,
    "get_task": "rule:default",
    "get_tasks": "rule:default",
    "add_task": "rule:default",
    "modify_task": "rule:default",
    "tasks_api_access": _ADMIN,
    "stores_info_detail": f"{_ADMIN} or rule:service_api",
    "metadef_default": "",
    "metadef_admin": _ADMIN,
    "get_metadef_namespace": SEE_NAMESPACE,
    "get_metadef_namespaces": ADMIN_OR_READER,
    "modify_metadef_namespace": _METADEF_ADMIN,
    "add_metadef_namespace": _METADEF_ADMIN,
    "delete_metadef_namespace": _METADEF_ADMIN,
    "get_metadef_object": SEE_NAMESPACE,
    "get_metadef_objects": SEE_NAMESPACE,
    "modify_metadef_object": _METADEF_ADMIN,
    "add_metadef_object": _METADEF_ADMIN,
    "delete_metadef_object": _METADEF_ADMIN,
    "list_metadef_resource_types": SEE_NAMESPACE,
    "get_metadef_resource_type": SEE_NAMESPACE,
    "add_metadef_resource_type_association": _METADEF_ADMIN,
    "remove_metadef_resource_type_association": _METADEF_ADMIN,
    "get_metadef_property": SEE_NAMESPACE,
    "get_metadef_properties": SEE_NAMESPACE,
    "modify_metadef_property": _METADEF_ADMIN,
    "add_metadef_property": _METADEF_ADMIN,
    "remove_metadef_property": _METADEF_ADMIN,
    "get_metadef_tag": SEE_NAMESPACE,
    "get_metadef_tags": SEE_NAMESPACE,
    "modify_metadef_tag": _METADEF_ADMIN,
    "add_metadef_tag": _METADEF_ADMIN,
    "add_metadef_tags": _METADEF_ADMIN,
    "delete_metadef_tag": _METADEF_ADMIN,
    "delete_metadef_tags": _METADEF_ADMIN,
}

_REFERRED_TO = ("default", "context_is_admin", "service_api", "metadef_default", "metadef_admin")

SCOPES = dict.fromkeys((name for name in RULES if name not in _REFERRED_TO), ("project",))
