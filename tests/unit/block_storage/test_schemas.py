# SPDX-License-Identifier: Apache-2.0
"""Bodies are accepted and refused as Cinder 29.0.0 does; its verdicts are recorded in `verdicts.yaml`.

For each schema and version the record is a number whose bits, the lowest first, are the verdicts on `bodies(...)`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cumulet.kernel.errors import Invalid
from cumulet.kernel.schema import Schema
from cumulet.services.block_storage.api import API

U = "11111111-2222-3333-4444-555555555555"
ODD = (
    None, True, False, -1, 0, 1, 2**31, 1.0, 1.5, "", "  ", "a", "1", "0", "-1", "x" * 255, "x" * 256, "é", "a\n",
    "true", "TRUE", "TrUe", U, U.replace("-", ""), [], {}, {"a": "b"}, {"a": 1}, {"a": None}, {"é": "b"}, {"": "b"},
    {"a" * 256: "b"}, {"a": "b" * 256}, {"a b": "c"},
)  # fmt: skip
VERSIONS = ((3, 0), (3, 12), (3, 13), (3, 47), (3, 53), (3, 54), (3, 55), (3, 71))

# Route, outermost name, a body that is accepted, fields that are tried with every odd value.
CASES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "POST /volumes": (
        "volume",
        {"size": 1},
        (
            "name",
            "description",
            "display_name",
            "display_description",
            "volume_type",
            "metadata",
            "snapshot_id",
            "source_volid",
            "consistencygroup_id",
            "size",
            "availability_zone",
            "multiattach",
            "image_id",
            "imageRef",
            "group_id",
            "backup_id",
            "unknown",
        ),
    ),
    "PUT /volumes/{volume_id}": (
        "volume",
        {"name": "a"},
        ("name", "description", "display_name", "display_description", "metadata", "unknown"),
    ),
    "POST /snapshots": (
        "snapshot",
        {"volume_id": U},
        ("name", "display_name", "description", "volume_id", "force", "metadata", "unknown"),
    ),
    "PUT /snapshots/{snapshot_id}": (
        "snapshot",
        {"name": "a"},
        ("name", "display_name", "description", "display_description", "unknown"),
    ),
    "POST /attachments": (
        "attachment",
        {"volume_uuid": U},
        ("instance_uuid", "connector", "volume_uuid", "mode", "unknown"),
    ),
    "PUT /attachments/{attachment_id}": ("attachment", {"connector": {"host": "a"}}, ("connector", "unknown")),
    "PUT /types/{type_id}": ("volume_type", {"name": "a"}, ("name", "description", "is_public", "unknown")),
    "PUT /volumes/{volume_id}/metadata": ("metadata", {}, ()),
    "os-extend": ("os-extend", {"new_size": 1}, ("new_size", "unknown")),
    "os-attach": (
        "os-attach",
        {"instance_uuid": U, "mountpoint": "/dev/vdb"},
        ("instance_uuid", "mountpoint", "host_name", "mode", "unknown"),
    ),
    "os-detach": ("os-detach", {}, ("attachment_id", "unknown")),
    "os-set_bootable": ("os-set_bootable", {"bootable": True}, ("bootable", "unknown")),
    "os-update_readonly_flag": ("os-update_readonly_flag", {"readonly": True}, ("readonly", "unknown")),
    "os-volume_upload_image": (
        "os-volume_upload_image",
        {"image_name": "a"},
        ("image_name", "force", "disk_format", "container_format", "visibility", "protected", "unknown"),
    ),
    "os-reserve": ("os-reserve", {}, ("unknown",)),
    "os-initialize_connection": ("os-initialize_connection", {"connector": {}}, ("connector", "unknown")),
    "os-retype": ("os-retype", {"new_type": "a"}, ("new_type", "migration_policy", "unknown")),
    "POST /group_types": (
        "group_type",
        {"name": "a"},
        ("name", "description", "is_public", "group_specs", "unknown"),
    ),
    "PUT /group_types/{group_type_id}": (
        "group_type",
        {"name": "a"},
        ("name", "description", "is_public", "unknown"),
    ),
    "POST /group_types/{group_type_id}/group_specs": ("group_specs", {"a": "b"}, ("a", "a b")),
    "POST /groups": (
        "group",
        {"group_type": "a", "volume_types": ["a"]},
        ("name", "description", "volume_types", "unknown"),
    ),
    "PUT /groups/{group_id}": (
        "group",
        {"name": "a"},
        ("name", "description", "add_volumes", "remove_volumes", "unknown"),
    ),
    "create-from-src": (
        "create-from-src",
        {"source_group_id": U},
        ("name", "description", "source_group_id", "group_snapshot_id", "unknown"),
    ),
    "delete": ("delete", {}, ("delete-volumes", "unknown")),
    "failover_replication": (
        "failover_replication",
        {},
        ("allow_attached_volume", "secondary_backend_id", "unknown"),
    ),
    "POST /group_snapshots": (
        "group_snapshot",
        {"group_id": U},
        ("group_id", "name", "description", "unknown"),
    ),
    "POST /consistencygroups": (
        "consistencygroup",
        {"volume_types": "a"},
        ("name", "description", "volume_types", "availability_zone", "unknown"),
    ),
    "POST /consistencygroups/create_from_src": (
        "consistencygroup-from-src",
        {"source_cgid": "a"},
        ("name", "description", "cgsnapshot_id", "source_cgid", "unknown"),
    ),
    "PUT /consistencygroups/{group_id}": (
        "consistencygroup",
        {"name": "a"},
        ("name", "description", "add_volumes", "remove_volumes", "unknown"),
    ),
    "POST /consistencygroups/{group_id}/delete": ("consistencygroup", {}, ("force", "unknown")),
    "POST /cgsnapshots": (
        "cgsnapshot",
        {"consistencygroup_id": "a"},
        ("consistencygroup_id", "name", "description", "unknown"),
    ),
}
VERDICTS: dict[str, dict[str, int]] = yaml.safe_load((Path(__file__).parent / "verdicts.yaml").read_text())


def bodies(key: str, base: dict[str, Any], fields: tuple[str, ...]) -> Iterator[Any]:
    """What is tried, in the order of the record's bits."""
    yield from ({}, [], None, {key: base}, {key: base, "more": 1})
    for odd in ODD:
        yield {key: odd}
    for field in fields:
        for odd in ODD:
            yield {key: {**base, field: odd}}
    for field in base:
        yield {key: {name: value for name, value in base.items() if name != field}}


def schema_of(case: str) -> Schema:
    for route in API.routes:
        if route.body is not None and case in (route.action, f"{route.method} {route.path}"):
            return route.body
    raise AssertionError(f"no route {case}")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("case", CASES)
def test_bodies_are_judged_as_cinder_does(case: str, version: tuple[int, int]) -> None:
    schema, record = schema_of(case), VERDICTS[case][f"{version[0]}.{version[1]}"]
    wrong = [
        body
        for bit, body in enumerate(bodies(*CASES[case]))
        if accepts(schema, body, version) is not bool(record >> bit & 1)
    ]
    assert wrong == []


def accepts(schema: Schema, body: Any, version: tuple[int, int]) -> bool:
    try:
        schema.check(body, version)
    except Invalid:
        return False
    return True
