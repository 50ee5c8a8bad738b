# SPDX-License-Identifier: Apache-2.0
"""The invariant checker itself: whatever is spoilt by hand is found, and in a cloud that is well nothing is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from sqlalchemy import text

from cumulet.kernel.db import outbox
from kills.world import NETWORK, World
from support.killable import START
from support.waiting import until

pytestmark = pytest.mark.timeout(600)

_IMAGE_GONE = (
    "UPDATE image_location SET image_id = :other_image, position = 9, key = 'other' WHERE image_id = :image; "
    "UPDATE image_image SET id = 'other' WHERE id = :image"
)
_GROUP_OF_OTHERS = (
    "UPDATE block_storage_group SET project_id = 'other' WHERE id = :group; "
    "UPDATE block_storage_volume SET group_id = :group WHERE id = :volume"
)
_TWICE = '{"devices":[{"address":"a"},{"address":"a"}]}'
# What is spoilt in the database, and what is said of it. `:server` and the others are ids of the things in `stage`.
SPOILT: dict[str, tuple[str, str]] = {
    "task": ("UPDATE compute_server SET task_state = 'pausing' WHERE id = :server", "server is pausing, and nobody"),
    "building": ("UPDATE compute_server SET vm_state = 'building' WHERE id = :server", "server is being built"),
    "host": ("UPDATE compute_server SET host = '' WHERE id = :server", "server is active, and on no host"),
    "held for none": ("UPDATE compute_server SET host = '' WHERE id = :server", "holds resources of one"),
    "power": ("UPDATE compute_server SET vm_state = 'stopped' WHERE id = :server", "server is stopped, and running on"),
    "amounts": (
        "UPDATE placement_allocation SET used = used + 1 WHERE consumer_uuid = :server AND resource_class = 'VCPU'",
        "server holds",
    ),
    "parts": ("UPDATE compute_held_parts SET owner = 'other' WHERE server_id = :server", "held by other, which is not"),
    "no parts": ("UPDATE compute_held_parts SET owner = 'other' WHERE server_id = :server", "server has no parts of"),
    "parts twice": (
        f"UPDATE compute_held_parts SET parts = '{_TWICE}' WHERE server_id = :server",
        "device a of host-1 is held twice",
    ),
    "deleted": (
        "UPDATE compute_server SET deleted_at = created_at WHERE id = :server",
        "resources of host-1 are held by a server that is gone",
    ),
    "machine": (
        "UPDATE compute_server SET deleted_at = created_at WHERE id = :server",
        "host host-1 has a server that is not there",
    ),
    "disks": ("UPDATE compute_server SET deleted_at = created_at WHERE id = :server", "disks are left of a server"),
    "claim": ("UPDATE compute_server SET deleted_at = created_at WHERE id = :server", "volume is claimed for server"),
    "port": ("UPDATE compute_server SET deleted_at = created_at WHERE id = :server", "port of server"),
    "not claimed": (
        "UPDATE compute_device SET attachment_id = 'other' WHERE volume_id = :attached",
        "is not claimed in block storage",
    ),
    "claimed for nothing": (
        "UPDATE compute_device SET attachment_id = 'other' WHERE volume_id = :attached",
        "which has no such disk",
    ),
    "disk that is not there": (
        "UPDATE compute_device SET volume_id = 'other' WHERE volume_id = :attached",
        "of the server does not exist",
    ),
    "other volumes": (
        "UPDATE compute_device SET volume_id = 'other' WHERE volume_id = :attached",
        "remembers other volumes of the server",
    ),
    "half attached": (
        "UPDATE block_storage_attachment SET status = 'attaching' WHERE volume_id = :attached",
        "is attaching in block storage, the server has it",
    ),
    "port elsewhere": ("UPDATE network_port SET host = 'host-2' WHERE id = :port", "its server is elsewhere"),
    "other ports": ("UPDATE network_port SET device_id = 'other' WHERE id = :port", "remembers other ports"),
    "busy volume": (
        "UPDATE block_storage_volume SET status = 'creating' WHERE id = :volume",
        "volume is creating, and nobody works on it",
    ),
    "growing volume": ("UPDATE block_storage_volume SET extending_to = 5 WHERE id = :volume", "volume grows to 5 GiB"),
    "free and claimed": (
        "UPDATE block_storage_volume SET status = 'available' WHERE id = :attached",
        "volume is available, and claimed",
    ),
    "used by nobody": ("UPDATE block_storage_volume SET status = 'in-use' WHERE id = :volume", "in use, by nobody"),
    "stuck claim": (
        "UPDATE block_storage_volume SET status = 'detaching' WHERE id = :attached",
        "volume is detaching, and nobody works on its server",
    ),
    "bytes elsewhere": ("UPDATE block_storage_volume SET host = 'host-2' WHERE id = :volume", "has bytes of a volume"),
    "busy backup": (
        "UPDATE block_storage_backup SET status = 'creating' WHERE id = :backup",
        "backup is creating, and nobody",
    ),
    "backup that nobody restores": (
        "UPDATE block_storage_backup SET status = 'restoring' WHERE id = :backup",
        "backup is restoring, and nobody",
    ),
    "volume that nobody backs up": (
        "UPDATE block_storage_volume SET status = 'backing-up' WHERE id = :volume",
        "volume is backing-up, and nobody",
    ),
    "snapshot that nobody backs up": (
        "UPDATE block_storage_snapshot SET status = 'backing-up' WHERE id = :snapshot",
        "snapshot is backing-up, and nobody",
    ),
    "busy snapshot": (
        "UPDATE block_storage_snapshot SET status = 'deleting' WHERE id = :snapshot",
        "snapshot is deleting, and nobody",
    ),
    "no bytes of the snapshot": (
        "UPDATE block_storage_snapshot SET id = 'other' WHERE id = :snapshot",
        "has not the bytes of the snapshot",
    ),
    "bytes of no snapshot": (
        "UPDATE block_storage_snapshot SET id = 'other' WHERE id = :snapshot",
        "has bytes of a snapshot that is gone",
    ),
    "in no group": (
        "UPDATE block_storage_volume SET group_id = 'none' WHERE id = :volume",
        "in a group that is gone",
    ),
    "of no group snapshot": (
        "UPDATE block_storage_snapshot SET group_snapshot_id = 'none' WHERE id = :snapshot",
        "one of a group snapshot that is gone",
    ),
    "busy group": (
        "UPDATE block_storage_group SET status = 'deleting' WHERE id = :group",
        "group or group snapshot is deleting, and nobody",
    ),
    "group of others": (_GROUP_OF_OTHERS, "in a group of another project or host"),
    "made and left": (
        "UPDATE network_port SET made_for_server = true, device_id = '' WHERE id = :free_port",
        "was made for a server and is left over",
    ),
    "status": ("UPDATE network_port SET status = 'DOWN' WHERE id = :port", "port is DOWN, and stands"),
    "other network": (
        "UPDATE network_port SET name = 'x', admin_state_up = false WHERE id = :port",
        "has not the port",
    ),
    "address": (
        "UPDATE network_floating_ip SET fixed_ip_address = '10.11.99.99' WHERE id = :floating",
        "which its port has not",
    ),
    "size": ("UPDATE image_image SET size = 7 WHERE id = :image", "image is said to have 7 bytes"),
    "no bytes": ("UPDATE image_location SET key = 'other' WHERE image_id = :image", "its bytes are gone"),
    "bytes": (_IMAGE_GONE, "bytes of an image that is gone"),
    "copy": (_IMAGE_GONE, "keeps a copy of an image that is gone"),
    "import": ("UPDATE image_image SET status = 'importing' WHERE id = :image", "imported, and nobody works on it"),
    "saga": (
        "UPDATE kernel_saga SET finished_at = NULL, owner = 'x', lease_until = 1e12 WHERE subject = :volume",
        "ended",
    ),
}


@pytest.fixture(scope="module")
def stage(keeper: Any) -> dict[str, str]:
    """A server with a disk, a port and a floating IP, a volume with a snapshot and a backup, and a group."""
    world: World = keeper.world()
    server, attached = world.make_server(), world.make_volume()
    world.attach(server, attached)
    world.rest()
    port = world.interfaces(server)[0]
    wanted = {"floatingip": {"floating_network_id": world.outside, "port_id": port}}
    floating = world.ask("POST", f"{NETWORK}/floatingips", wanted)["floatingip"]["id"]
    volume, storage = world.make_volume(), world.volumes_root
    kind = world.ask("POST", f"{storage}/group_types", {"group_type": {"name": "spoilt"}})["group_type"]["id"]
    words = {"group": {"group_type": kind, "volume_types": ["__DEFAULT__"]}}
    made = {
        "group": world.begin("POST", f"{storage}/groups", words),
        "server": server, "attached": attached, "port": port, "floating": floating, "volume": volume,
        "snapshot": world.make_snapshot(volume), "backup": world.make_backup(volume),
        "free_port": world.make_port(), "image": world.image,
        "other_image": world.make_image(),
    }  # fmt: skip
    leave_alone(world)
    return made


def leave_alone(world: World) -> None:
    """From now on nobody mends what is spoilt: the leases of periodic work are others', and who had them is gone."""
    _run(world, f"UPDATE kernel_lease SET owner = 'others', until = 1e12 WHERE name <> '{outbox.TOPIC}'", {})
    begun = world.cloud.starts("control")
    world.cloud.kill("control")
    until(lambda: world.cloud.starts("control") > begun and world.cloud.is_ready(), START)
    world.rest()


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_spoilt_is_found(keeper, stage, what):
    world: World = keeper.world()
    assert world.findings() == []
    statement, expected = SPOILT[what]
    with ExitStack() as back:
        for each in statement.split("; "):
            back.enter_context(spoilt(world, each, stage))
        found = world.findings(0)
    assert any(expected in finding for finding in found), found


def test_a_machine_that_nobody_knows_is_found(keeper, stage):
    world: World = keeper.world()
    journal = world.cloud.settings.state / "agent" / "journal" / "compute.fake"
    stranger = journal / "5f8b1f5e-0000-0000-0000-000000000000.mp"
    stranger.write_bytes((journal / f"{stage['server']}.mp").read_bytes())
    try:
        assert [finding for finding in world.findings(0) if "has a server that is not there" in finding]
    finally:
        stranger.unlink()


def test_a_file_of_images_that_nobody_knows_is_found(keeper, stage):
    world: World = keeper.world()
    stranger = world.cloud.settings.state / "agent" / "images" / "stranger"
    stranger.touch()
    try:
        assert [finding for finding in world.findings(0) if "has a file of images that nothing names" in finding]
    finally:
        stranger.unlink()


@contextmanager
def spoilt(world: World, statement: str, stage: dict[str, str]) -> Iterator[None]:
    """The row that a statement changes is as it was at the end of the block (SQLite alone: a row is known by rowid)."""
    table, _, rest = statement.removeprefix("UPDATE ").partition(" SET ")
    assignments, _, where = rest.partition(" WHERE ")
    columns = [each.split("=")[0].strip() for each in assignments.split(", ")]
    named = {name: value for name, value in stage.items() if re.search(rf":{name}\b", where)}
    rowid, *old = _run(world, f"SELECT rowid, {', '.join(columns)} FROM {table} WHERE {where}", named)[0]
    _run(world, statement, {name: value for name, value in stage.items() if re.search(rf":{name}\b", statement)})
    try:
        yield
    finally:
        back = ", ".join(f"{name} = :{name}" for name in columns)
        was = dict(zip(columns, old, strict=True))
        _run(world, f"UPDATE {table} SET {back} WHERE rowid = :rowid", {**was, "rowid": rowid})


def _run(world: World, statement: str, words: dict[str, Any]) -> list[Any]:
    def write(tx: Any) -> list[Any]:
        result = tx._connection().execute(text(statement), words)
        return list(result) if result.returns_rows else []

    return world.cloud.db.write(write)
