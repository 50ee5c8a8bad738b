# SPDX-License-Identifier: Apache-2.0
"""How each flow is started, and what it is good for: one line a flow. A new step of a flow needs nothing here."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from cumulet.kernel.ids import new_uuid
from kills.world import COMPUTE, IMAGE, KEYS, World

Thing = Any
_PICTURE = b"a picture" * 1000


@dataclass(frozen=True)
class Scenario:
    """`prepare(world)` makes what the flow works on; `drive(world, thing)` starts the flow through the API; `reached`
    says whether the flow has done what it is for, `undone` whether nothing is left of one that failed, as far as no
    examination would find it."""

    prepare: Callable[[World], Thing]
    drive: Callable[[World, Thing], object]
    reached: Callable[[World, Thing], bool]
    undone: Callable[[World, Thing], bool] = lambda _world, _thing: True


def _new_image(world: World) -> Thing:
    """One that no host has a copy of; what the flow then makes takes its place."""
    return [world.make_image()]


def _server(world: World) -> Thing:
    return world.make_server()


def _stopped(world: World) -> Thing:
    return _after(world, world.make_server(), "os-stop")


def _paused(world: World) -> Thing:
    return _after(world, world.make_server(), "pause")


def _after(world: World, server: str, action: str) -> str:
    world.act(server, action)
    world.rest()
    return server


def _to_resize(world: World) -> Thing:
    """Its old size is held beside the new one: a further disk comes along."""
    server, volume = _attached(world)
    return server, volume, world.make_flavor()


def _resize(world: World, thing: Thing) -> object:
    return world.act(thing[0], "resize", {"flavorRef": thing[2]})


def _resized(world: World) -> Thing:
    thing = _to_resize(world)
    _resize(world, thing)
    world.rest()
    return thing


def _has_memory(status: str, memory: int) -> Callable[[World, Thing], bool]:
    """Whether the server has the status and a flavor of this memory."""

    def reached(world: World, thing: Thing) -> bool:
        found = world.server(thing[0])
        return found is not None and (found["status"], found["flavor"]["ram"]) == (status, memory)

    return reached


def _deleted_for_now(world: World) -> Thing:
    server = world.make_server()
    world.begin("DELETE", f"{COMPUTE}/servers/{server}")
    world.rest()
    return server


def _server_and_image(world: World) -> Thing:
    return world.make_server(), world.make_image()


def _rebuild(world: World, thing: Thing) -> object:
    return world.act(thing[0], "rebuild", {"imageRef": thing[1]})


def _shelve(world: World, thing: Thing) -> object:
    return world.act(thing[0], "shelve")


def _shelved(world: World) -> Thing:
    thing = _attached(world)
    _shelve(world, thing)
    world.rest()
    return thing


def _aggregate_and_image(world: World) -> Thing:
    """An aggregate with the host, which keeps the image at hand afterwards or fetches it at first use."""
    made = world.ask("POST", f"{COMPUTE}/os-aggregates", {"aggregate": {"name": f"near-{new_uuid()}"}})["aggregate"]
    host = world.ask("GET", f"{COMPUTE}/os-hypervisors")["hypervisors"][0]["hypervisor_hostname"]
    world.ask("POST", f"{COMPUTE}/os-aggregates/{made['id']}/action", {"add_host": {"host": host}})
    return made["id"], world.make_image()


def _cache(world: World, thing: Thing) -> object:
    return world.begin("POST", f"{COMPUTE}/os-aggregates/{thing[0]}/images", {"cache": [{"id": thing[1]}]})


def _server_and_volume(world: World) -> Thing:
    return world.make_server(), world.make_volume()


def _attached(world: World) -> Thing:
    server, volume = _server_and_volume(world)
    world.attach(server, volume)
    world.rest()
    return server, volume


def _to_swap(world: World) -> Thing:
    """A server with a volume that is on the move, and where it moves to."""
    server, volume = _attached(world)
    _volume_action("os-reset_status", {"migration_status": "migrating"})(world, volume)
    return server, volume, world.make_volume()


def _swap(world: World, thing: Thing) -> object:
    words = {"volumeAttachment": {"volumeId": thing[2]}}
    return world.begin("PUT", f"{COMPUTE}/servers/{thing[0]}/os-volume_attachments/{thing[1]}", words)


def _is_swapped(world: World, thing: Thing) -> bool:
    first, second = (world.volume(each) for each in thing[1:])
    return bool(first and second and (first["status"], second["status"]) == ("available", "in-use"))


def _assist(world: World, thing: Thing) -> object:
    info = {"snapshot_id": "assisted", "type": "qcow2", "new_file": "none"}
    words = {"snapshot": {"volume_id": thing[1], "create_info": info}}
    return world.begin("POST", f"{COMPUTE}/os-assisted-volume-snapshots", words)


def _volume(world: World) -> Thing:
    return world.make_volume()


def _snapshot(world: World) -> Thing:
    return world.make_snapshot(world.make_volume())


def _snapshot_of(world: World) -> Thing:
    volume = world.make_volume()
    return volume, world.make_snapshot(volume)


def _revert(world: World, thing: Thing) -> object:
    return _volume_action("revert", {"snapshot_id": thing[1]})(world, thing[0])


def _is_reverted(world: World, thing: Thing) -> bool:
    snapshot = world.snapshot(thing[1])
    return _volume_is("available")(world, thing[0]) and bool(snapshot) and snapshot["status"] == "available"


def _reimage(world: World, thing: Thing) -> object:
    return world.begin(
        "POST", f"{world.volumes_root}/volumes/{thing[0]}/action", {"os-reimage": {"image_id": thing[1]}}
    )


def _unmanage_snapshot(world: World, snapshot: Thing) -> object:
    return world.begin("POST", f"{world.volumes_root}/snapshots/{snapshot}/action", {"os-unmanage": None})


def _is_manageable(kind: str) -> Callable[[World, Thing], bool]:
    """Whether the thing is not in our care any more, and lies on the host."""

    def reached(world: World, thing: Thing) -> bool:
        path, key = f"{world.volumes_root}/manageable_{kind}?host=", f"manageable-{kind}"
        found = [one for place in _places(world) for one in world.ask("GET", path + place.partition("#")[0])[key]]
        names = {one["reference"]["source-name"] for one in found if one["safe_to_manage"]}
        ours = world.volume(thing) if kind == "volumes" else world.snapshot(thing)
        return not ours and f"{kind[:-1]}-{thing}.qcow2" in names

    return reached


def _places(world: World) -> list[str]:
    pools = world.ask("GET", f"{world.volumes_root}/scheduler-stats/get_pools")["pools"]
    return [pool["name"] for pool in pools]


def _place(world: World, volume: str) -> str:
    return str(world.ask("GET", f"{world.volumes_root}/volumes/{volume}")["volume"]["os-vol-host-attr:host"])


def _to_migrate(world: World) -> Thing:
    """A volume, and another place than its own."""
    volume = world.make_volume()
    return volume, next(place for place in _places(world) if place != _place(world, volume))


def _to_move(world: World) -> Thing:
    """A volume in use, and another place than its own."""
    _, volume = _attached(world)
    return volume, next(place for place in _places(world) if place != _place(world, volume))


def _has_moved(world: World, thing: Thing) -> bool:
    found = world.volume(thing[0])
    ends = (found["status"], found["migration_status"], _place(world, thing[0])) if found else ()
    return ends == ("in-use", "success", thing[1])


def _stays_in_use(world: World, thing: Thing) -> bool:
    """What the host has exchanged already stays so."""
    found = world.volume(thing[0])
    state = "success" if _place(world, thing[0]) == thing[1] else "error"
    return bool(found) and (found["status"], found["migration_status"]) == ("in-use", state)


def _migrate(world: World, thing: Thing) -> object:
    return _volume_action("os-migrate_volume", {"host": thing[1], "lock_volume": True})(world, thing[0])


def _has_migrated(world: World, thing: Thing) -> bool:
    found = world.volume(thing[0])
    return bool(found) and (found["status"], found["migration_status"]) == ("available", "success")


def _stays(world: World, thing: Thing) -> bool:
    """A migration that cannot be done leaves the volume where it was; what has moved stays there."""
    found = world.volume(thing[0])
    states = ("error", "success") if _place(world, thing[0]) == thing[1] else ("error",)
    return bool(found) and found["status"] == "available" and found["migration_status"] in states


def _to_seal(world: World) -> Thing:
    """A plain volume, and a type of encrypted ones."""
    name = f"sealed-{new_uuid()}"
    made = world.ask("POST", f"{world.volumes_root}/types", {"volume_type": {"name": name}})["volume_type"]["id"]
    words = {"provider": "luks", "cipher": "aes-xts-plain64", "key_size": 256, "control_location": "front-end"}
    world.ask("POST", f"{world.volumes_root}/types/{made}/encryption", {"encryption": words})
    return world.make_volume(), name


def _seal(world: World, thing: Thing) -> object:
    return _volume_action("os-retype", {"new_type": thing[1], "migration_policy": "on-demand"})(world, thing[0])


def _is_sealed(world: World, thing: Thing) -> bool:
    found = world.volume(thing[0])
    have = ("status", "migration_status", "encrypted", "volume_type")
    return bool(found) and [found[each] for each in have] == ["available", "success", True, thing[1]]


def _is_plain_yet(world: World, thing: Thing) -> bool:
    found = world.volume(thing[0])
    have = [found[each] for each in ("status", "migration_status", "encrypted")]
    return have == ["available", "error", False] and found["volume_type"] != thing[1]


def _given_back(world: World) -> Thing:
    volume = world.make_volume()
    place = _place(world, volume)
    _volume_action("os-unmanage", None)(world, volume)
    world.rest()
    return [volume, place]


def _manage(world: World, thing: Thing) -> object:
    words = {"volume": {"host": thing[1], "ref": {"source-id": thing[0]}}}
    thing.append(world.begin("POST", f"{world.volumes_root}/manageable_volumes", words))
    return thing[2]


def _snapshot_given_back(world: World) -> Thing:
    volume = world.make_volume()
    snapshot = world.make_snapshot(volume)
    _unmanage_snapshot(world, snapshot)
    world.rest()
    return [volume, snapshot]


def _manage_snapshot(world: World, thing: Thing) -> object:
    words = {"snapshot": {"volume_id": thing[0], "ref": {"source-id": thing[1]}}}
    thing.append(world.begin("POST", f"{world.volumes_root}/manageable_snapshots", words))
    return thing[2]


def _plugged(world: World) -> Thing:
    server, port = world.make_server(), world.make_port()
    _plug(world, (server, port))
    world.rest()
    return server, port


def _plug(world: World, thing: Thing) -> object:
    server, port = thing
    words = {"interfaceAttachment": {"port_id": port}}
    return world.begin("POST", f"{COMPUTE}/servers/{server}/os-interface", words)


def _boot(world: World, thing: Thing) -> object:
    """From a new image on a new volume, with a further blank one, so that every step has something to do."""
    new = {"destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    disks = [
        {"boot_index": 0, "source_type": "image", "uuid": thing.pop(), **new},
        {"source_type": "blank", **new},
    ]
    thing.append(
        world.begin("POST", f"{COMPUTE}/servers", world.server_words(imageRef="", block_device_mapping_v2=disks))
    )
    return thing[0]


def _on_volume(world: World) -> Thing:
    new = {"destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
    disks = [{"boot_index": 0, "source_type": "image", "uuid": world.make_image(), **new}]
    return world.make_server(imageRef="", block_device_mapping_v2=disks)


def _has_volume_image(world: World, _thing: Thing) -> bool:
    """One image that names one snapshot, which can be used."""
    made = [image for image in world.images() if image.get("bdm_v2")]
    listed = [entry["snapshot_id"] for image in made for entry in json.loads(image["block_device_mapping"])]
    found = [world.snapshot(each) or {} for each in listed]
    return [image["status"] for image in made] == ["active"] and [each.get("status") for each in found] == ["available"]


def _has_no_snapshots(world: World, _thing: Thing) -> bool:
    return not world.ask("GET", f"{world.volumes_root}/snapshots")["snapshots"] and not any(
        image.get("bdm_v2") for image in world.images()
    )


def _make_volume(world: World, thing: Thing) -> object:
    words = {"size": 1, "imageRef": thing.pop()}
    thing.append(world.begin("POST", f"{world.volumes_root}/volumes", {"volume": words}))
    return thing[0]


def _make_snapshot(world: World, thing: Thing) -> object:
    words = {"snapshot": {"volume_id": thing[0], "force": True}}
    thing.append(world.begin("POST", f"{world.volumes_root}/snapshots", words))
    return thing[1]


def _kind_of_groups(world: World) -> Thing:
    words = {"group_type": {"name": f"kind-{new_uuid()}"}}
    return [world.ask("POST", f"{world.volumes_root}/group_types", words)["group_type"]["id"]]


def _make_group(world: World, thing: Thing) -> object:
    words = {"group": {"group_type": thing[0], "volume_types": ["__DEFAULT__"]}}
    thing.append(world.begin("POST", f"{world.volumes_root}/groups", words))
    return thing[1]


def _group(world: World) -> Thing:
    """One with two volumes, of which a server has one."""
    thing = _kind_of_groups(world)
    group = _make_group(world, thing)
    world.rest()
    volumes = [world.make_volume(volume_type="__DEFAULT__", group_id=group) for _ in range(2)]
    world.attach(world.make_server(), volumes[0])
    world.rest()
    return [group]


def _snapshot_group(world: World, thing: Thing) -> object:
    words = {"group_snapshot": {"group_id": thing[0]}}
    thing.append(world.begin("POST", f"{world.volumes_root}/group_snapshots", words))
    return thing[1]


def _has_group_snapshot(world: World, thing: Thing) -> bool:
    found = world.ask("GET", f"{world.volumes_root}/snapshots/detail")["snapshots"]
    taken = [each["status"] for each in found if each["group_snapshot_id"] == thing[1]]
    path = f"{world.volumes_root}/group_snapshots/{thing[1]}"
    status = world.ask("GET", path)["group_snapshot"]["status"]
    return [*taken, status] == ["available"] * 3


def _back_up(world: World, thing: Thing) -> object:
    thing.append(world.begin("POST", f"{world.volumes_root}/backups", {"backup": {"volume_id": thing[0]}}))
    return thing[1]


def _backup(world: World) -> Thing:
    """A volume and its backup."""
    thing = [world.make_volume()]
    _back_up(world, thing)
    world.rest()
    return thing


def _restore(world: World, thing: Thing) -> object:
    thing.append(world.begin("POST", f"{world.volumes_root}/backups/{thing[1]}/restore", {"restore": {}}))
    return thing[2]


def _is_not_restored(world: World, thing: Thing) -> bool:
    return _volume_is("error_restoring")(world, thing) and (world.backup(thing[1]) or {})["status"] == "available"


def _record(world: World) -> Thing:
    """A volume, the id of what will be another name of its backup, and the record that says so."""
    volume, backup = _backup(world)
    said = world.ask("GET", f"{world.volumes_root}/backups/{backup}/export_record")["backup-record"]
    words = {**json.loads(base64.b64decode(said["backup_url"])), "id": new_uuid()}
    said["backup_url"] = base64.b64encode(json.dumps(words).encode()).decode()
    return [volume, words["id"], said]


def _import_record(world: World, thing: Thing) -> object:
    return world.begin("POST", f"{world.volumes_root}/backups/import_record", {"backup-record": thing[2]})


def _action(name: str, body: Any = None) -> Callable[[World, Thing], object]:
    return lambda world, server: world.act(server, name, body)


def _volume_action(name: str, body: Any) -> Callable[[World, Thing], object]:
    return lambda world, volume: world.begin("POST", f"{world.volumes_root}/volumes/{volume}/action", {name: body})


def _is(status: str) -> Callable[[World, Thing], bool]:
    """Whether the server (the only one, or the first of several things) has the status and nothing is under way."""

    def reached(world: World, thing: Thing) -> bool:
        found = world.server(thing if isinstance(thing, str) else thing[0])
        return found is not None and (found["status"], found["OS-EXT-STS:task_state"]) == (status, None)

    return reached


def _volume_is(status: str, size: int = 1) -> Callable[[World, Thing], bool]:
    def reached(world: World, thing: Thing) -> bool:
        found = world.volume(thing if isinstance(thing, str) else thing[-1])
        return found is not None and (found["status"], found["size"]) == (status, size)

    return reached


def _has_image(world: World, _thing: Thing) -> bool:
    return [image["status"] for image in world.images()] == ["active"]


def _delete(path: str) -> Callable[[World, Thing], object]:
    return lambda world, thing: world.begin("DELETE", path.format(world.volumes_root, *_words(thing)))


def _order(world: World, _thing: Thing) -> object:
    words = {"algorithm": "rsa", "bit_length": 1024, "passphrase": "geheim"}
    return world.begin("POST", f"{KEYS}/orders", {"type": "asymmetric", "meta": words})


def _has_keys(world: World, _thing: Thing) -> bool:
    """One order, one container, and what it holds: nothing was made twice."""
    orders, held = (world.ask("GET", f"{KEYS}/{noun}")[noun] for noun in ("orders", "containers"))
    secrets = world.ask("GET", f"{KEYS}/secrets")["secrets"]
    return [one["status"] for one in orders] == ["ACTIVE"] and len(held) == 1 and len(secrets) == 3


def _import(world: World, image: Thing) -> object:
    return world.begin("POST", f"{IMAGE}/images/{image}/import", {"method": {"name": "glance-direct"}})


def _is_imported(world: World, image: Thing) -> bool:
    """Unpacked by the plug-in, and nobody's any more."""
    found = world.ask("GET", f"{IMAGE}/images/{image}")
    return (found["status"], found["size"]) == ("active", 5000) and "os_glance_import_task" not in found


class _Pictures(BaseHTTPRequestHandler):
    """A web server where every address has the same picture."""

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(_PICTURE)))
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(_PICTURE)

    def log_message(self, *words: object) -> None:
        """Nothing is said."""


@cache
def _pictures() -> str:
    """The address of a picture, as long as this process lives."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Pictures)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/picture"


def _frame(world: World) -> Thing:
    return world.ask("POST", f"{IMAGE}/images", {"disk_format": "raw", "container_format": "bare"})["id"]


def _register(world: World, image: Thing) -> object:
    sums = {"os_hash_algo": "sha256", "os_hash_value": hashlib.sha256(_PICTURE).hexdigest()}
    return world.begin("POST", f"{IMAGE}/images/{image}/locations", {"url": _pictures(), "validation_data": sums})


def _is_registered(world: World, image: Thing) -> bool:
    found = world.ask("GET", f"{IMAGE}/images/{image}")
    wanted = {"status": "active", "stores": "web", "checksum": hashlib.md5(_PICTURE).hexdigest()}
    return {name: found[name] for name in wanted} == wanted and "os_glance_import_task" not in found


def _words(thing: Thing) -> list[str]:
    return [thing] if isinstance(thing, str) else list(thing)


SCENARIOS: dict[str, Scenario] = {
    "compute.boot": Scenario(_new_image, _boot, _is("ACTIVE")),
    "compute.delete": Scenario(
        _attached, lambda world, t: world.remove_server(t[0]), lambda world, t: not world.server(t[0])
    ),
    "compute.soft_delete": Scenario(_server, _delete(COMPUTE + "/servers/{1}"), _is("SOFT_DELETED")),
    "compute.restore": Scenario(_deleted_for_now, _action("restore"), _is("ACTIVE")),
    "compute.suspend": Scenario(_server, _action("suspend"), _is("SUSPENDED")),
    "compute.resume": Scenario(
        lambda world: _after(world, world.make_server(), "suspend"), _action("resume"), _is("ACTIVE")
    ),
    "compute.rebuild": Scenario(_server_and_image, _rebuild, _is("ACTIVE")),
    "compute.rescue": Scenario(_server, _action("rescue"), _is("RESCUE")),
    "compute.unrescue": Scenario(
        lambda world: _after(world, world.make_server(), "rescue"), _action("unrescue"), _is("ACTIVE")
    ),
    "compute.shelve": Scenario(_attached, _shelve, _is("SHELVED_OFFLOADED")),
    "compute.shelve_offload": Scenario(_attached, _shelve, _is("SHELVED_OFFLOADED")),
    "compute.unshelve": Scenario(_shelved, lambda world, t: world.act(t[0], "unshelve"), _is("ACTIVE")),
    "compute.create_backup": Scenario(
        _server, _action("createBackup", {"name": "made", "backup_type": "daily", "rotation": 1}), _has_image
    ),
    "compute.crash_dump": Scenario(_server, _action("trigger_crash_dump"), _is("ACTIVE")),
    "compute.cache_images": Scenario(_aggregate_and_image, _cache, lambda _world, _thing: True),
    "compute.create_image": Scenario(_server, _action("createImage", {"name": "made"}), _has_image),
    "compute.create_volume_image": Scenario(
        _on_volume, _action("createImage", {"name": "made"}), _has_volume_image, _has_no_snapshots
    ),
    "compute.start": Scenario(_stopped, _action("os-start"), _is("ACTIVE")),
    "compute.stop": Scenario(_server, _action("os-stop"), _is("SHUTOFF")),
    "compute.reboot": Scenario(_server, _action("reboot", {"type": "HARD"}), _is("ACTIVE")),
    "compute.pause": Scenario(_server, _action("pause"), _is("PAUSED")),
    "compute.unpause": Scenario(_paused, _action("unpause"), _is("ACTIVE")),
    "compute.resize": Scenario(_to_resize, _resize, _has_memory("VERIFY_RESIZE", 128)),
    "compute.confirm_resize": Scenario(
        _resized, lambda world, t: world.act(t[0], "confirmResize"), _has_memory("ACTIVE", 128)
    ),
    "compute.revert_resize": Scenario(
        _resized, lambda world, t: world.act(t[0], "revertResize"), _has_memory("ACTIVE", 64)
    ),
    "compute.attach_volume": Scenario(
        _server_and_volume, lambda world, thing: world.attach(*thing), _volume_is("in-use")
    ),
    "compute.detach_volume": Scenario(
        _attached, _delete(COMPUTE + "/servers/{1}/os-volume_attachments/{2}"), _volume_is("available")
    ),
    "compute.move_volume": Scenario(_to_move, _migrate, _has_moved, _stays_in_use),
    "compute.swap_volume": Scenario(_to_swap, _swap, _is_swapped),
    "compute.assisted_snapshot": Scenario(_attached, _assist, _volume_is("in-use")),
    "compute.attach_port": Scenario(
        lambda world: (world.make_server(), world.make_port()), _plug, lambda world, t: t[1] in world.interfaces(t[0])
    ),
    "compute.detach_port": Scenario(
        _plugged,
        _delete(COMPUTE + "/servers/{1}/os-interface/{2}"),
        lambda world, t: t[1] not in world.interfaces(t[0]),
    ),
    "block_storage.create": Scenario(_new_image, _make_volume, _volume_is("available")),
    "block_storage.delete": Scenario(_volume, _delete("{0}/volumes/{1}"), lambda world, t: not world.volume(t)),
    "block_storage.extend": Scenario(_volume, _volume_action("os-extend", {"new_size": 2}), _volume_is("available", 2)),
    "block_storage.snapshot": Scenario(
        lambda world: [world.make_volume()],
        _make_snapshot,
        lambda world, t: (world.snapshot(t[1]) or {}).get("status") == "available",
    ),
    "block_storage.delete_snapshot": Scenario(
        _snapshot, _delete("{0}/snapshots/{1}"), lambda world, t: not world.snapshot(t)
    ),
    "block_storage.revert": Scenario(_snapshot_of, _revert, _is_reverted),
    "block_storage.reimage": Scenario(
        lambda world: (world.make_volume(), world.make_image()),
        _reimage,
        lambda world, t: _volume_is("available")(world, t[0]) and world.volume(t[0])["bootable"] == "true",
    ),
    "block_storage.migrate": Scenario(_to_migrate, _migrate, _has_migrated, _stays),
    "block_storage.recode": Scenario(_to_seal, _seal, _is_sealed, _is_plain_yet),
    "block_storage.leave": Scenario(_to_migrate, _migrate, _has_migrated, _has_migrated),
    "block_storage.unmanage": Scenario(_volume, _volume_action("os-unmanage", None), _is_manageable("volumes")),
    "block_storage.unmanage_snapshot": Scenario(
        lambda world: world.make_snapshot(world.make_volume()), _unmanage_snapshot, _is_manageable("snapshots")
    ),
    "block_storage.manage": Scenario(_given_back, _manage, _volume_is("available")),
    "block_storage.manage_snapshot": Scenario(
        _snapshot_given_back,
        _manage_snapshot,
        lambda world, t: (world.snapshot(t[2]) or {}).get("status") == "available",
    ),
    "block_storage.create_group": Scenario(
        _kind_of_groups,
        _make_group,
        lambda world, t: world.ask("GET", f"{world.volumes_root}/groups/{t[1]}")["group"]["status"] == "available",
    ),
    "block_storage.group_snapshot": Scenario(_group, _snapshot_group, _has_group_snapshot),
    "block_storage.backup": Scenario(
        lambda world: [world.make_volume()],
        _back_up,
        lambda world, t: (world.backup(t[1]) or {}).get("status") == "available",
    ),
    "block_storage.restore_backup": Scenario(_backup, _restore, _volume_is("available"), _is_not_restored),
    "block_storage.delete_backup": Scenario(
        _backup,
        lambda world, t: world.begin("DELETE", f"{world.volumes_root}/backups/{t[1]}"),
        lambda world, t: not world.backup(t[1]),
    ),
    "block_storage.import_backup": Scenario(
        _record, _import_record, lambda world, t: (world.backup(t[1]) or {}).get("status") == "available"
    ),
    "image.import": Scenario(lambda world: world.stage_image(b"x" * 5000), _import, _is_imported),
    "image.location_import": Scenario(_frame, _register, _is_registered),
    "key_manager.order": Scenario(lambda world: [], _order, _has_keys),
    "block_storage.upload": Scenario(
        _volume, _volume_action("os-volume_upload_image", {"image_name": "made", "disk_format": "raw"}), _has_image
    ),
}
