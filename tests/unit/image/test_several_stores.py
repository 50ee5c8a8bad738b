# SPDX-License-Identifier: Apache-2.0
"""A cloud with several stores of images: where data go, from where they are read, what is told and changed of that."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from cumulet.kernel.doctor import examine
from cumulet.kernel.errors import Gone, NotFound
from cumulet.services.image.backup import ImagesKeeper
from cumulet.services.image.contract import ImageContract
from cumulet.services.image.doctor import probes
from cumulet.services.image.logic import abandoned, cache, cached, locations, stores
from cumulet.services.image.types import CacheState
from cumulet.settings import load
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

CONTENT = b"sixteen letters!" * 100_000
OCTETS = {"Content-Type": "application/octet-stream"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}
STORES = [
    {"id": "local", "type": "file", "description": "beside the state"},
    {"id": "heavy", "type": "fake", "weight": 10},
    {"id": "attic", "type": "file", "read_only": True},
    {"id": "web", "type": "http"},
]
SETTINGS: dict[str, Any] = {
    "image.stores": STORES,
    "image.show_multiple_locations": "true",
    "image.show_image_direct_url": "true",
    "image.cache_size": "10000000",
}


class Web(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        """Nothing is said."""


class World:
    """The cloud, a web server with two files, and the image API as its people use it."""

    def __init__(self, folder: Path) -> None:
        for name in ("one.raw", "two.raw"):
            (folder / "files").mkdir(exist_ok=True)
            (folder / "files" / name).write_bytes(CONTENT)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Web, directory=str(folder / "files")))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.web = f"http://127.0.0.1:{self.server.server_port}"
        self.running = RunningCloud(folder / "state", ["identity", "image"], settings=SETTINGS)
        self.people = environment(self.running)

    def ask(self, method: str, path: str, who: str = "MEMBER", **words: Any) -> httpx.Response:
        headers = {
            "X-Auth-Token": self.people[f"{who}_TOKEN"],
            "Accept": "application/json",
            **words.pop("headers", {}),
        }
        return httpx.request(method, f"{self.running.data_url}/image/v2{path}", headers=headers, timeout=60, **words)

    def image(self, store: str | None = None, content: bytes = CONTENT, **words: Any) -> str:
        """A new image with data, in a store."""
        made = self.ask("POST", "/images", json={"disk_format": "raw", "container_format": "bare", **words})
        assert made.headers["openstack-image-store-ids"] == "local,heavy,attic,web"
        image_id = str(made.json()["id"])
        if content:
            chosen = {} if store is None else {"x-image-meta-store": store}
            done = self.ask("PUT", f"/images/{image_id}/file", content=content, headers={**OCTETS, **chosen})
            assert done.status_code == 204, done.text
        return image_id

    def show(self, image_id: str, who: str = "MEMBER") -> dict[str, Any]:
        found: dict[str, Any] = self.ask("GET", f"/images/{image_id}", who).json()
        return found

    def change(self, image_id: str, *changes: dict[str, Any], who: str = "MEMBER") -> httpx.Response:
        return self.ask("PATCH", f"/images/{image_id}", who, json=list(changes), headers=PATCH)

    def close(self) -> None:
        self.running.close()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    made = World(tmp_path_factory.mktemp("stores"))
    yield made
    made.close()


def add(url: str, **more: Any) -> dict[str, Any]:
    return {"op": "add", "path": "/locations/-", "value": {"url": url, "metadata": {}, **more}}


def test_stores_are_told(world: World) -> None:
    found = world.ask("GET", "/info/stores").json()["stores"]
    assert found == [
        {"id": "local", "description": "beside the state", "default": "true"},
        {"id": "heavy"},
        {"id": "attic", "read-only": "true"},
        {"id": "web", "read-only": "true"},
    ]
    assert world.ask("GET", "/info/stores/detail").status_code == 403
    detail = world.ask("GET", "/info/stores/detail", "ADMIN").json()["stores"]
    assert [(each["type"], each["weight"]) for each in detail] == [("file", 0), ("fake", 10), ("file", 0), ("http", 0)]
    assert detail[0]["properties"]["data_dir"] == str(world.running.settings.state / "images")


def test_data_go_to_the_store_that_is_named(world: World) -> None:
    usual, other = world.image(), world.image("heavy")
    assert world.show(usual)["stores"] == "local"
    assert world.show(other)["stores"] == "heavy"
    assert (world.running.settings.state / "images" / usual).read_bytes() == CONTENT
    assert not (world.running.settings.state / "images" / other).exists()
    assert world.ask("GET", f"/images/{other}/file").content == CONTENT
    assert world.ask("GET", f"/images/{other}/file", headers={"Range": "bytes=3-9"}).content == CONTENT[3:10]
    contract = world.running.data.cloud.contracts.use(ImageContract)
    assert contract.read(other, 16, 7) == b"sixteen"
    empty = world.image(content=b"")
    for name, status in (("attic", 410), ("nowhere", 400)):
        headers = {**OCTETS, "x-image-meta-store": name}
        assert world.ask("PUT", f"/images/{empty}/file", content=b"x", headers=headers).status_code == status
    assert world.show(empty)["status"] == "queued"


def test_copies_in_other_stores(world: World) -> None:
    cloud = world.running.data.cloud
    image_id = world.image()
    locations.copy(cloud, image_id, "heavy")
    locations.copy(cloud, image_id, "heavy")
    found = world.show(image_id)
    assert found["stores"] == "heavy,local"  # the heavier first
    assert [each["metadata"] for each in found["locations"]] == [{"store": "heavy"}, {"store": "local"}]
    assert found["direct_url"] == found["locations"][0]["url"]
    (world.running.settings.state / "images" / image_id).unlink()
    assert world.ask("GET", f"/images/{image_id}/file").content == CONTENT
    with pytest.raises(Gone):
        locations.copy(cloud, image_id, "attic")
    with pytest.raises(NotFound):
        locations.copy(cloud, image_id, "nowhere")
    with pytest.raises(Gone):
        locations.copy(cloud, "00000000-0000-0000-0000-000000000000", "heavy")


def test_the_next_store_is_read_where_one_fails(world: World) -> None:
    image_id = world.image()
    locations.copy(world.running.data.cloud, image_id, "heavy")
    stores.get(world.running.data.cloud, "heavy").writable.delete(image_id)
    assert world.ask("GET", f"/images/{image_id}/file").content == CONTENT
    (world.running.settings.state / "images" / image_id).unlink()
    assert world.ask("GET", f"/images/{image_id}/file").status_code == 404


def test_data_are_removed_from_one_store(world: World) -> None:
    image_id = world.image()
    path = f"/stores/local/{image_id}"
    assert world.ask("DELETE", path).status_code == 403
    answer = world.ask("DELETE", path, "ADMIN")
    assert answer.status_code == 403
    assert "Consider deleting the image instead." in answer.text
    locations.copy(world.running.data.cloud, image_id, "heavy")
    assert world.ask("DELETE", f"/stores/web/{image_id}", "ADMIN").status_code == 404
    assert world.ask("DELETE", f"/stores/nowhere/{image_id}", "ADMIN").status_code == 409
    assert world.ask("DELETE", "/stores/local/nothing", "ADMIN").status_code == 404
    assert world.ask("DELETE", path, "ADMIN").status_code == 204
    assert world.show(image_id)["stores"] == "heavy"
    assert not (world.running.settings.state / "images" / image_id).exists()
    assert world.ask("DELETE", f"/stores/local/{world.image(content=b'')}", "ADMIN").status_code == 409


def test_a_deleted_image_leaves_nothing_in_any_store(world: World) -> None:
    cloud = world.running.data.cloud
    image_id = world.image()
    locations.copy(cloud, image_id, "heavy")
    assert world.ask("DELETE", f"/images/{image_id}").status_code == 204
    for store in ("local", "heavy"):
        assert image_id not in stores.get(cloud, store).writable.published()


def test_bytes_that_belong_to_nothing_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = world.running.control.cloud
    kept, image_id = stores.get(cloud, "heavy").writable, world.image()
    for name in (image_id, "00000000-0000-0000-0000-00000000beef", "a note"):
        kept.write("lost", 0, b"x")
        kept.publish("lost", name.replace(" ", "-"), 1)
    monkeypatch.setattr(abandoned, "PATIENCE", -1.0)
    abandoned.put_right(cloud)
    assert kept.published().keys() & {image_id, "00000000-0000-0000-0000-00000000beef", "a-note"} == {"a-note"}
    assert world.ask("GET", f"/images/{image_id}/file").content == CONTENT


def test_places_of_data_are_said(world: World) -> None:
    image_id = world.image(content=b"")
    assert world.show(image_id)["locations"] == []
    assert world.change(image_id, add(f"{world.web}/one.raw", metadata={"from": "there"})).status_code == 200
    found = world.show(image_id)
    assert (found["status"], found["size"], found["checksum"], found["stores"]) == ("active", len(CONTENT), None, "web")
    assert found["locations"] == [{"url": f"{world.web}/one.raw", "metadata": {"store": "web", "from": "there"}}]
    assert world.ask("GET", f"/images/{image_id}/file").content == CONTENT
    assert world.change(image_id, add(f"{world.web}/two.raw")).status_code == 200
    two = world.show(image_id)["locations"]
    swapped = [{"url": two[1]["url"], "metadata": {"date": "today"}}, two[0]]
    assert world.change(image_id, {"op": "replace", "path": "/locations", "value": swapped}).status_code == 200
    assert world.show(image_id)["locations"][0]["metadata"] == {"store": "web", "date": "today"}
    remove = {"op": "remove", "path": "/locations/0"}
    assert world.change(image_id, remove).status_code == 403
    assert world.change(image_id, {"op": "remove", "path": "/locations/5"}, who="ADMIN").status_code == 400
    assert world.change(image_id, remove, who="ADMIN").status_code == 200
    assert [each["url"] for each in world.show(image_id)["locations"]] == [f"{world.web}/one.raw"]
    assert world.change(image_id, remove, who="ADMIN").status_code == 403
    assert world.ask("DELETE", f"/images/{image_id}").status_code == 204
    assert httpx.get(f"{world.web}/one.raw").content == CONTENT


def test_places_that_are_refused(world: World) -> None:
    queued, other = world.image(content=b""), world.image("heavy", visibility="private")
    foreign = world.show(other)["direct_url"]
    state = world.running.settings.state
    for url in (
        "file:///etc/passwd", f"file://{state}/images/{other}", foreign, f"{world.web}/nothing", "gopher://x/",
        f"http://name:word@127.0.0.1:{world.server.server_port}/one.raw", "http://localhost:1/x", "fake:///x", "",
    ):  # fmt: skip
        answer = world.change(queued, add(url))
        assert (answer.status_code, "Invalid location" in answer.text) == (400, True), url
    assert world.change(queued, add("x" * 256)).status_code == 400
    good = f"{world.web}/one.raw"
    assert world.change(queued, add(good, metadata={"n": 5})).status_code == 400
    assert world.change(queued, {**add(good), "path": "/locations/x"}).status_code == 400
    assert world.change(queued, {"op": "remove", "path": "/locations/0"}, who="ADMIN").status_code == 409
    assert world.change(queued, {"op": "replace", "path": "/locations", "value": []}).status_code == 403
    assert world.change(queued, add(good), who="OTHER").status_code == 404
    assert world.change(queued, add(good), who="READER").status_code == 403
    assert world.change(queued, add(good), add(good)).status_code == 400
    assert world.show(queued)["status"] == "queued"
    bare = world.ask("POST", "/images", json={}).json()["id"]
    assert world.change(bare, add(good)).status_code == 400
    formats = [{"op": "add", "path": f"/{name}_format", "value": "raw" if name == "disk" else "bare"}
               for name in ("disk", "container")]  # fmt: skip
    assert world.change(bare, *formats, add(good)).json()["status"] == "active"
    whole = {"op": "replace", "path": "/locations", "value": [{"url": f"{good}#2", "metadata": {}}]}
    assert world.change(bare, whole).status_code == 400


def test_sums_are_said_with_places(world: World) -> None:
    url = f"{world.web}/one.raw"
    sums = {"checksum": "1" * 32, "os_hash_algo": "sha512", "os_hash_value": "deadbeef" * 16}
    image_id = world.image(content=b"")
    for name, value in (
        ("checksum", "x" * 32),
        ("os_hash_algo", "sha256"),
        ("os_hash_value", "beef"),
        ("os_hash_value", "z" * 128),
    ):
        answer = world.change(image_id, add(url, validation_data={**sums, name: value}))
        assert answer.status_code == 409, (name, answer.text)
    assert world.change(image_id, add(url, validation_data={**sums, "size": 5})).status_code == 400
    assert world.change(image_id, add(url, validation_data=sums)).status_code == 200
    found = world.show(image_id)
    assert {name: found[name] for name in sums} == sums
    assert "validation_data" not in found["locations"][0]
    assert world.change(image_id, add(f"{url}#two", validation_data=sums)).status_code == 200
    for name, value in (("checksum", "2" * 32), ("os_hash_value", "beefdead" * 16), ("os_hash_algo", "sha256")):
        answer = world.change(image_id, add(f"{url}#three", validation_data={**sums, name: value}))
        assert answer.status_code == 409, answer.text
    assert len(world.show(image_id)["locations"]) == 2


def register(world: World, image_id: str, url: str, who: str = "MEMBER", **words: Any) -> httpx.Response:
    return world.ask("POST", f"/images/{image_id}/locations", who, json={"url": url, **words})


def tasks(world: World, image_id: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.ask("GET", f"/images/{image_id}/tasks", "ADMIN").json()["tasks"]
    return found


def ended(world: World, image_id: str, status: str) -> dict[str, Any]:
    until(lambda: [each["status"] for each in tasks(world, image_id)] == [status])
    return world.show(image_id)


def test_data_that_are_there_already_are_registered(world: World) -> None:
    url = f"{world.web}/one.raw"
    md5, sha512 = hashlib.md5(CONTENT).hexdigest(), hashlib.sha512(CONTENT).hexdigest()
    plain, held, wrong = (world.image(content=b"") for _ in range(3))
    assert register(world, plain, url).status_code == 202
    said = {"os_hash_algo": "sha256", "os_hash_value": hashlib.sha256(CONTENT).hexdigest()}
    assert register(world, held, url, validation_data=said).status_code == 202
    lies = {"os_hash_algo": "sha512", "os_hash_value": "beefdead" * 16}
    assert register(world, wrong, url, validation_data=lies).status_code == 202
    found = ended(world, plain, "success")
    assert (found["status"], found["checksum"], found["os_hash_algo"], found["os_hash_value"]) == (
        "active", md5, "sha512", sha512,
    )  # fmt: skip
    found = ended(world, held, "success")
    assert (found["status"], found["checksum"], found["stores"]) == ("active", md5, "web")
    assert {name: found[name] for name in said} == said
    found = ended(world, wrong, "failure")
    assert (found["status"], found["os_hash_value"], found["checksum"], found["stores"]) == (
        "queued",
        None,
        None,
        "web",
    )
    assert register(world, wrong, f"{world.web}/nothing").status_code == 202
    until(lambda: "Invalid location" in [each["message"] for each in tasks(world, wrong)], every=0.1)
    assert register(world, plain, url).status_code == 409
    told = world.ask("GET", f"/images/{plain}/locations", "SERVICE")
    assert told.status_code in (200, 404)


def test_what_may_not_be_registered(world: World) -> None:
    image_id = world.image(content=b"")
    url = f"{world.web}/one.raw"
    for words in (
        {"validation_data": {"os_hash_algo": "sha512", "os_hash_value": "beef"}},
        {"validation_data": {"os_hash_value": "beef" * 32}},
        {"validation_data": {"os_hash_algo": "sha123", "os_hash_value": "beef" * 32}},
        {"validation_data": {"os_hash_algo": "sha512", "os_hash_value": "z" * 128}},
    ):
        assert register(world, image_id, url, **words).status_code == 400, words
    for refused in ("http://localhost/x", "http://169.254.169.254/latest/meta-data"):
        answer = register(world, image_id, refused)
        assert (answer.status_code, "does not pass filtering" in answer.text) == (400, True)
    assert register(world, image_id, "file:///etc/passwd").status_code == 403
    assert register(world, image_id, url, "READER").status_code == 403
    assert register(world, image_id, url, "OTHER").status_code == 404
    assert world.ask("POST", f"/images/{image_id}/locations", json=[]).status_code == 400
    assert world.ask("GET", f"/images/{image_id}/locations").status_code == 403
    public = world.image(content=b"")
    world.change(public, {"op": "replace", "path": "/visibility", "value": "public"}, who="ADMIN")
    assert register(world, public, "file:///etc/passwd", "SERVICE").status_code == 202
    assert ended(world, public, "failure")["status"] == "queued"


def test_far_data_are_kept_at_hand(world: World) -> None:
    cloud = world.running.data.cloud
    image_id = world.image(content=b"")
    assert world.change(image_id, add(f"{world.web}/one.raw")).status_code == 200
    assert world.ask("GET", f"/images/{image_id}/file").content == CONTENT
    copy = until(lambda: [each for each in _cached(world) if each["image_id"] == image_id], every=0.2)[0]
    assert (copy["size"], copy["hits"]) == (len(CONTENT), 0)
    world.server.RequestHandlerClass, before = Web, world.server.RequestHandlerClass  # it has no such file any more
    try:
        assert world.ask("GET", f"/images/{image_id}/file").content == CONTENT
    finally:
        world.server.RequestHandlerClass = before
    assert next(each for each in _cached(world) if each["image_id"] == image_id)["hits"] == 1
    file = cached.folder(cloud) / image_id
    file.write_bytes(b"cut")
    assert world.ask("GET", f"/images/{image_id}/file").content == CONTENT
    assert world.ask("DELETE", f"/cache/{image_id}", "ADMIN").status_code == 204
    assert not file.exists()
    assert cache.find_all(cloud, CacheState.CACHED) == []


def test_images_are_cached_when_asked_for(world: World) -> None:
    near, far, queued = world.image(), world.image("heavy"), world.image(content=b"")
    assert world.ask("PUT", f"/cache/{queued}", "ADMIN").status_code == 400
    assert world.ask("PUT", "/cache/nothing", "ADMIN").status_code == 404
    assert world.ask("PUT", f"/cache/{near}").status_code == 403
    for image_id in (near, far, far):
        assert world.ask("PUT", f"/cache/{image_id}", "ADMIN").status_code == 202
    until(lambda: {near, far} <= {each["image_id"] for each in _cached(world)}, every=0.2)
    here, copies = world.running.settings.state, cached.folder(world.running.data.cloud)
    assert (copies / near).samefile(here / "images" / near)
    assert world.ask("GET", f"/cache/nodes/{near}", "ADMIN").json() == [world.running.settings.replica]
    assert world.ask("GET", f"/images/{near}/file").content == CONTENT
    assert world.ask("DELETE", f"/images/{near}").status_code == 204
    until(lambda: not (copies / near).exists())
    (copies / "stray").write_bytes(b"x")
    assert world.ask("POST", "/cache/clean", "ADMIN").status_code == 200
    assert not (copies / "stray").exists()
    cached.kept(world.running.data.cloud).write("copy.of-a-dead-process", 0, b"half")
    cache.clean(world.running.data.cloud, patience=-1.0)
    assert cached.kept(world.running.data.cloud).drafts() == {}
    big = [world.image("heavy", CONTENT * 2) for _ in range(3)]
    for image_id in big:
        world.ask("PUT", f"/cache/{image_id}", "ADMIN")
    until(lambda: big[-1] in {each["image_id"] for each in _cached(world)}, every=0.2)
    until(lambda: sum(each["size"] for each in _cached(world)) <= 10_000_000, every=0.2)
    assert far not in {each["image_id"] for each in _cached(world)}
    assert world.ask("POST", "/cache/prune", "ADMIN").json() == {"total_files_pruned": 0, "total_bytes_pruned": 0}
    assert world.ask("DELETE", "/cache", "ADMIN", headers={"x-image-cache-clear-target": "odd"}).status_code == 400
    for target in ("queue", "cache", ""):
        headers = {"x-image-cache-clear-target": target}
        assert world.ask("DELETE", "/cache", "ADMIN", headers=headers).status_code == 204
    assert world.ask("GET", "/cache", "ADMIN").json() == {"cached_images": [], "queued_images": []}


def _cached(world: World) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = world.ask("GET", "/cache", "ADMIN").json()["cached_images"]
    return found


def imported(world: World, image_id: str, method: str, who: str = "MEMBER", **words: Any) -> dict[str, Any]:
    """The task of an import, as it ended."""
    answer = world.ask("POST", f"/images/{image_id}/import", who, json={"method": {"name": method}, **words})
    assert answer.status_code == 202, answer.text
    until(lambda: all(each["status"] in ("success", "failure") for each in tasks(world, image_id)))
    return tasks(world, image_id)[-1]


def staged(world: World) -> str:
    image_id = world.image(content=b"")
    assert world.ask("PUT", f"/images/{image_id}/stage", content=CONTENT, headers=OCTETS).status_code == 204
    return image_id


def progress(found: dict[str, Any]) -> tuple[str, str, str]:
    return found["status"], found["os_glance_importing_to_stores"], found["os_glance_failed_import"]


def test_an_image_is_copied_to_all_stores_that_can_be_written(world: World) -> None:
    image_id = world.image()
    assert imported(world, image_id, "copy-image", "ADMIN", all_stores=True)["input"]["backend"] == ["heavy"]
    found = world.show(image_id)
    assert (found["stores"], progress(found)) == ("heavy,local", ("active", "", ""))
    assert imported(world, image_id, "copy-image", "ADMIN", all_stores=True)["id"] == tasks(world, image_id)[0]["id"]
    body = {"method": {"name": "copy-image"}, "stores": ["heavy"]}
    answer = world.ask("POST", f"/images/{image_id}/import", "ADMIN", json=body)
    assert (answer.status_code, "Image is already present at store 'heavy'" in answer.text) == (400, True)


def test_a_copy_that_fails_is_taken_back_from_all_stores(world: World) -> None:
    image_id = world.image()
    task = imported(world, image_id, "copy-image", "ADMIN", stores=["heavy", "attic"])
    assert (task["status"], "is disabled" in task["message"]) == ("failure", True)
    found = world.show(image_id)
    assert (found["stores"], progress(found)) == ("local", ("active", "", "attic"))
    assert image_id not in stores.get(world.running.data.cloud, "heavy").writable.published()


def test_a_copy_that_may_fail_stays_where_it_succeeds(world: World) -> None:
    image_id = world.image()
    wanted = {"stores": ["attic", "heavy"], "all_stores_must_succeed": False}
    assert imported(world, image_id, "copy-image", "ADMIN", **wanted)["status"] == "success"
    found = world.show(image_id)
    assert (found["stores"], progress(found)) == ("heavy,local", ("active", "", "attic"))


def test_staged_data_go_to_the_stores_that_are_named(world: World) -> None:
    image_id = staged(world)
    assert imported(world, image_id, "glance-direct", stores=["local", "heavy"])["status"] == "success"
    found = world.show(image_id)
    assert (found["stores"], progress(found)) == ("heavy,local", ("active", "", ""))
    for store in ("local", "heavy"):
        assert stores.get(world.running.data.cloud, store).bytes.size(image_id) == len(CONTENT)
    image_id = staged(world)
    assert imported(world, image_id, "glance-direct", all_stores=True)["status"] == "success"
    assert world.show(image_id)["stores"] == "heavy,local"


def test_staged_data_go_where_they_can(world: World) -> None:
    may_fail, must, nowhere = (staged(world) for _ in range(3))
    task = imported(world, may_fail, "glance-direct", stores=["attic", "local"], all_stores_must_succeed=False)
    assert task["status"] == "success"
    assert (world.show(may_fail)["stores"], progress(world.show(may_fail))) == ("local", ("active", "", "attic"))
    assert imported(world, must, "glance-direct", stores=["local", "attic"])["status"] == "failure"
    assert progress(world.show(must)) == ("queued", "", "attic")
    assert must not in stores.get(world.running.data.cloud, "local").writable.published()
    task = imported(world, nowhere, "glance-direct", stores=["attic"], all_stores_must_succeed=False)
    assert (task["status"], task["message"]) == ("failure", "None of the uploads finished!")
    assert progress(world.show(nowhere)) == ("queued", "", "attic")


def test_a_cloud_without_a_cache(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud, image_id = world.running.data.cloud, world.image("heavy")
    image = msgspec.structs.replace(cloud.settings.image, cache_size=0)
    monkeypatch.setattr(cloud, "settings", msgspec.structs.replace(cloud.settings, image=image))
    for method, path in (("GET", ""), ("DELETE", ""), ("PUT", f"/{image_id}"), ("POST", "/clean"), ("POST", "/prune")):
        answer = world.ask(method, f"/cache{path}", "ADMIN")
        assert (answer.status_code, "not supported at this site" in answer.text) == (404, True), path
    versions = httpx.get(f"{world.running.data_url}/image/versions").json()["versions"]
    assert [each["id"] for each in versions][:3] == ["v2.17", "v2.15", "v2.13"]
    assert world.ask("GET", f"/images/{image_id}/file").content == CONTENT


def test_hosts_read_on_where_a_store_fails(world: World) -> None:
    cloud, image_id = world.running.control.cloud, world.image("heavy")
    locations.copy(cloud, image_id, "local")
    assert locations.read(cloud, image_id, 0, 7) == b"sixteen"
    stores.get(cloud, "heavy").writable.delete(image_id)
    assert locations.read(cloud, image_id, 8, 8) == b"letters!"
    (world.running.settings.state / "images" / image_id).unlink()
    with pytest.raises(NotFound):
        locations.read(cloud, image_id, 0, 1)


def test_a_backup_holds_each_store_of_the_state_directory(tmp_path: Path) -> None:
    state, pinned, into = (tmp_path / name for name in ("state", "pinned", "into"))
    for path in ("images/one", "images/drafts/half", "image-stores/second/two", "image-cache/one"):
        (state / path).parent.mkdir(parents=True, exist_ok=True)
        (state / path).write_bytes(b"bytes")
    keeper = ImagesKeeper(state)
    assert keeper.pin(pinned) == ["images/one", "image-stores/second/two"]
    for piece in ("images/one", "image-stores/second/two"):
        keeper.copy(piece, pinned, into)
        assert (into / piece).read_bytes() == b"bytes"
    assert "image-cache" in keeper.folders


def test_the_doctor_looks_at_each_store(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    bucket = {"type": "s3", "bucket": "x", "endpoint": "http://127.0.0.1:1", "access_key": "x"}
    named = [
        {"id": "local", "type": "file"},
        {"id": "away", "type": "file", "folder": str(tmp_path / "away"), "read_only": True},
        {"id": "web", "type": "http"},
        {**bucket, "id": "bucket", "secret_key_file": str(tmp_path / "secret")},
    ]
    settings = load(environ={}, overrides={"state": str(tmp_path / "state"), "image.stores": named})
    found = {probe.name: examine(probe).status for probe in probes(settings)}
    assert found == {
        "image store: local": "ok",
        "image store: away": "missing",
        "image store: web": "ok",
        "image store: bucket": "missing",
    }
    assert probes(load(environ={}, overrides={"state": str(tmp_path / "state")})) == []
