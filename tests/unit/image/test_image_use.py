# SPDX-License-Identifier: Apache-2.0
"""What an operator lets users write on images and have of them: protected properties, limits, a schema of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from cumulet.cli import credentials, seed
from cumulet.kernel.db.outbox import Event
from cumulet.kernel.errors import TooLarge
from cumulet.services.image.logic import limits, protection
from cumulet.settings.image import ImageUse
from support.cloud import RunningCloud
from support.hostile_images import qcow2
from support.people import environment
from support.waiting import until

PATCH = "application/openstack-images-v2.1-json-patch"
RULES = """
[^billing_]
create = admin
read = admin, member
update = admin
delete = admin

[^secret$]
create = @
read = admin
update = !
delete = !

[.*]
create = @
read = @
update = @
delete = @
"""
MIB = 1 << 20


class Cloud:
    """A cloud whose operator has chosen all that there is to choose; `ask` asks its image service."""

    def __init__(self, folder: Path) -> None:
        self.rules = folder / "protections.conf"
        self.rules.write_text(RULES)
        schema = folder / "schema-image.json"
        schema.write_text(json.dumps({"properties": {"colour": {"type": "string", "enum": ["red", "blue"]}}}))
        chosen = {
            "image_use.property_protection_file": str(self.rules),
            "image_use.use_keystone_limits": "true",
            "image_use.schema_image_file": str(schema),
            "image_format.disk_formats": "raw,qcow2,gpt",
            "image_format.container_formats": "bare",
            "image_format.require_image_format_match": "false",
            "image_use.image_property_quota": "3",
            "image_use.image_tag_quota": "2",
            "image_use.image_member_quota": "-1",
            "image_use.image_size_cap": str(4 * MIB),
        }
        self.running = RunningCloud(folder / "state", ["identity", "image"], settings=chosen)
        self.people = environment(self.running)
        self._http = httpx.Client(timeout=60)
        self.limits: dict[str, str] = {}
        self._register()

    def ask(self, who: str, method: str, path: str, body: Any = None, media: str = "", **more: Any) -> httpx.Response:
        headers = {"X-Auth-Token": self.people[f"{who}_TOKEN"], "Accept": "application/json"}
        if media:
            headers["Content-Type"] = media
        address = f"{self.running.data_url}/image/v2{path}"
        return self._http.request(method, address, json=body, headers=headers, **more)

    def change(self, who: str, image_id: str, operation: str, name: str, value: str | None = None) -> int:
        words = {"op": operation, "path": f"/{name}", **({} if value is None else {"value": value})}
        return self.ask(who, "PATCH", f"/images/{image_id}", [words], PATCH).status_code

    def make(self, who: str, **words: Any) -> Any:
        answer = self.ask(who, "POST", "/images", {"disk_format": "raw", "container_format": "bare", **words})
        assert answer.status_code == 201, answer.text
        return answer.json()

    def limit(self, resource: str, amount: int) -> None:
        """Give the member's project a limit of its own."""
        body = {
            "service_id": self._service,
            "region_id": None,
            "resource_name": resource,
            "resource_limit": amount,
            "project_id": self.people["PROJECT_ID"],
        }
        if resource in self.limits:
            path = f"/limits/{self.limits[resource]}"
            self._identity("PATCH", path, {"limit": {"resource_limit": amount}})
        else:
            made = self._identity("POST", "/limits", {"limits": [body]})
            self.limits[resource] = made["limits"][0]["id"]

    def close(self) -> None:
        self._http.close()
        self.running.close()

    def _register(self) -> None:
        services = self._identity("GET", "/services?type=image")["services"]
        self._service = services[0]["id"]
        names = ("image_size_total", "image_stage_total", "image_count_total", "image_count_uploading")
        wanted = [{"service_id": self._service, "resource_name": name, "default_limit": 1000} for name in names]
        self._identity("POST", "/registered_limits", {"registered_limits": wanted})

    def _identity(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"X-Auth-Token": self.people["SYSTEM_TOKEN"]}
        answer = self._http.request(method, f"{self.running.control_url}/identity/v3{path}", json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json()


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    made = Cloud(tmp_path_factory.mktemp("own"))
    yield made
    made.close()


def test_only_those_named_make_a_protected_property(own: Cloud) -> None:
    refused = own.ask("MEMBER", "POST", "/images", {"billing_code": "1"})
    assert refused.status_code == 403
    assert "Attribute 'billing_code' is reserved." in refused.text
    image_id = own.make("ADMIN", owner=own.people["PROJECT_ID"], billing_code="1")["id"]
    assert own.ask("MEMBER", "GET", f"/images/{image_id}").json()["billing_code"] == "1"
    assert own.change("MEMBER", image_id, "add", "billing_more", "2") == 403
    assert own.change("MEMBER", image_id, "replace", "billing_code", "2") == 403
    assert own.change("MEMBER", image_id, "remove", "billing_code") == 403
    assert own.change("MEMBER", image_id, "add", "free", "1") == 200
    assert own.change("ADMIN", image_id, "replace", "billing_code", "2") == 200


def test_what_may_not_be_read_is_not_there(own: Cloud) -> None:
    made = own.make("MEMBER", secret="x")
    assert "secret" not in made
    path = f"/images/{made['id']}"
    assert "secret" not in own.ask("MEMBER", "GET", path).json()
    assert own.ask("ADMIN", "GET", path).json()["secret"] == "x"
    assert own.ask("MEMBER", "GET", "/images?secret=x").json()["images"] == []
    assert [each["id"] for each in own.ask("ADMIN", "GET", "/images?secret=x").json()["images"]] == [made["id"]]
    assert own.change("MEMBER", made["id"], "replace", "secret", "y") == 409
    assert own.change("MEMBER", made["id"], "remove", "secret") == 409
    assert own.change("MEMBER", made["id"], "replace", "name", "new") == 200
    assert own.ask("ADMIN", "GET", path).json()["secret"] == "x"
    assert own.change("MEMBER", made["id"], "add", "secret", "z") == 200
    assert own.change("ADMIN", made["id"], "replace", "secret", "y") == 403
    assert own.change("ADMIN", made["id"], "remove", "secret") == 403


def test_the_file_is_read_again(own: Cloud) -> None:
    made = own.make("MEMBER", secret="x")
    own.rules.write_text(RULES.replace("read = admin\n", "read = member\n"))
    until(lambda: "secret" in own.ask("MEMBER", "GET", f"/images/{made['id']}").json())
    own.rules.write_text(RULES)
    until(lambda: "secret" not in own.ask("MEMBER", "GET", f"/images/{made['id']}").json())


def test_rules_of_the_policy_may_say_who(own: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = own.running.data.cloud
    chosen = msgspec.structs.replace(cloud.settings.image_use, property_protection_rule_format="policies")
    monkeypatch.setattr(cloud, "settings", msgspec.structs.replace(cloud.settings, image_use=chosen))
    own.rules.write_text(RULES.replace("admin, member", "default").replace("= admin\n", "= context_is_admin\n"))
    until(lambda: own.ask("MEMBER", "POST", "/images", {"billing_code": "1"}).status_code == 403)
    image_id = own.make("ADMIN", owner=own.people["PROJECT_ID"], billing_code="1")["id"]
    assert own.ask("MEMBER", "GET", f"/images/{image_id}").json()["billing_code"] == "1"
    own.rules.write_text(RULES)


def test_a_broken_file_leaves_the_old_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protection, "_GLANCE", 0.0)
    path, kept = tmp_path / "rules", protection.Protection()

    def readers() -> set[str] | None:
        found = kept.section(path, by_policy=False, name="secret")
        return None if found is None else set(found.who["read"])

    assert readers() is None
    path.write_text(RULES)
    assert readers() == {"admin"}
    path.write_text("[broken")
    assert readers() == {"admin"}
    path.unlink()
    assert readers() == {"admin"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("no section", "cannot be read"),
        ("[a]\ncreate = @\nread = @\nupdate = @", "who may delete"),
        ("[(]\ncreate = @\nread = @\nupdate = @\ndelete = @", "no pattern"),
        ("[a]\ncreate = @, !\nread = @\nupdate = @\ndelete = @", "exclude each other"),
    ],
)
def test_a_file_that_says_something_wrong(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        protection.read(text, by_policy=False)


def test_one_rule_of_the_policy_for_each_action() -> None:
    text = "[a]\ncreate = one\nread = @\nupdate = !\ndelete = {}"
    (section,) = protection.read(text.format("two"), by_policy=True)
    assert section.who == {"create": {"one"}, "read": {"@"}, "update": {"!"}, "delete": {"two"}}
    with pytest.raises(ValueError, match="several rules"):
        protection.read(text.format("two, three"), by_policy=True)


def test_the_schema_names_the_operators_properties(own: Cloud) -> None:
    shown = own.ask("READER", "GET", "/schemas/image").json()
    assert shown["properties"]["colour"] == {"type": "string", "enum": ["red", "blue"], "is_base": False}
    listed = own.ask("READER", "GET", "/schemas/images").json()
    assert "colour" in listed["properties"]["images"]["items"]["properties"]
    refused = own.ask("MEMBER", "POST", "/images", {"colour": "green"})
    assert refused.status_code == 400
    assert "'green' is not one of ['red', 'blue']" in refused.text
    image_id = own.make("MEMBER", colour="red")["id"]
    assert own.change("MEMBER", image_id, "replace", "colour", "green") == 400
    assert own.change("MEMBER", image_id, "replace", "colour", "blue") == 200


def test_an_image_has_so_many_words(own: Cloud) -> None:
    refused = own.ask("MEMBER", "POST", "/images", {"a": "1", "b": "2", "c": "3", "d": "4"})
    assert refused.status_code == 413
    assert "allowed image properties. Attempted: 4, Maximum: 3" in refused.text
    image_id = own.make("MEMBER", a="1", b="2", c="3", tags=["a", "b"])["id"]
    assert own.change("MEMBER", image_id, "add", "d", "4") == 413
    assert own.ask("MEMBER", "PUT", f"/images/{image_id}/tags/c").status_code == 413


def test_an_image_has_so_many_locations() -> None:
    limits.check_locations(ImageUse(image_location_quota=-1), 1000)
    with pytest.raises(TooLarge, match=r"image locations\. Attempted: 2, Maximum: 1"):
        limits.check_locations(ImageUse(image_location_quota=1), 2)


def test_a_project_has_so_much_room(own: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = own.running.data.cloud
    chosen = msgspec.structs.replace(cloud.settings.image_use, use_keystone_limits=False, user_storage_quota="1MB")
    monkeypatch.setattr(cloud, "settings", msgspec.structs.replace(cloud.settings, image_use=chosen))
    path, octets = f"/images/{own.make('ADMIN')['id']}", "application/octet-stream"
    for content in (bytes(MIB + 1), iter([bytes(MIB), b"x"])):  # a size that is declared, and one that is not
        refused = own.ask("ADMIN", "PUT", f"{path}/file", None, octets, content=content)
        assert refused.status_code == 413
        assert f"The size of the data {MIB + 1} will exceed the limit. {MIB} bytes remaining." in refused.text
    assert own.ask("ADMIN", "PUT", f"{path}/stage", None, octets, content=bytes(MIB + 1)).status_code == 204
    assert own.ask("ADMIN", "POST", f"{path}/import", {"method": {"name": "glance-direct"}}).status_code == 413
    path = f"/images/{own.make('ADMIN')['id']}"
    assert own.ask("ADMIN", "PUT", f"{path}/file", None, octets, content=bytes(MIB)).status_code == 204


def test_an_image_has_so_many_bytes(own: Cloud) -> None:
    for what in ("file", "stage"):
        image_id = own.make("MEMBER")["id"]
        octets, content = "application/octet-stream", bytes(4 * MIB + 1)
        refused = own.ask("MEMBER", "PUT", f"/images/{image_id}/{what}", None, octets, content=content)
        assert refused.status_code == 413
        assert "The provided image is too large." in refused.text


def test_a_project_has_so_many_images(own: Cloud) -> None:
    used = own.ask("MEMBER", "GET", "/info/usage").json()["usage"]["image_count_total"]
    assert used["limit"] == 1000
    own.limit("image_count_total", used["usage"] + 1)
    own.make("MEMBER")
    refused = own.ask("MEMBER", "POST", "/images", {})
    assert refused.status_code == 413
    project, full = own.people["PROJECT_ID"], used["usage"] + 1
    assert (
        f"Project {project} is over a limit for [Resource image_count_total is over limit of {full} due to "
        f"current usage {full} and delta 1]"
    ) in refused.json()["message"]
    own.limit("image_count_total", -1)
    own.make("MEMBER")
    assert own.ask("MEMBER", "GET", "/info/usage").json()["usage"]["image_count_total"]["limit"] == -1


def test_a_project_stores_and_stages_so_much(own: Cloud) -> None:
    usage = own.ask("MEMBER", "GET", "/info/usage").json()["usage"]
    assert usage["image_size_total"] == {"usage": 0, "limit": 1000}
    first, second, third = (own.make("MEMBER")["id"] for _ in range(3))
    octets = "application/octet-stream"

    def put(image_id: str, what: str, size: int) -> int:
        return own.ask("MEMBER", "PUT", f"/images/{image_id}/{what}", None, octets, content=bytes(size)).status_code

    own.limit("image_size_total", 2)
    assert put(first, "file", 3 * MIB) == 413
    assert put(first, "file", 2 * MIB) == 204
    assert put(second, "file", MIB) == 413
    own.limit("image_stage_total", 1)
    assert put(second, "stage", 2 * MIB) == 413
    assert put(second, "stage", MIB) == 204
    own.limit("image_count_uploading", 1)
    assert put(third, "stage", 1) == 413
    usage = own.ask("MEMBER", "GET", "/info/usage").json()["usage"]
    assert (usage["image_size_total"]["usage"], usage["image_count_uploading"]["usage"]) == (2, 1)
    words = {"method": {"name": "glance-direct"}}
    refused = own.ask("MEMBER", "POST", f"/images/{second}/import", words)
    assert refused.status_code == 413
    assert "image_size_total is over limit of 2" in refused.text
    own.limit("image_size_total", 3)
    assert own.ask("MEMBER", "POST", f"/images/{second}/import", words).status_code == 202


def test_without_limits_there_is_no_usage(cloud: RunningCloud) -> None:
    headers = {"X-Auth-Token": environment(cloud)["MEMBER_TOKEN"]}
    assert httpx.get(f"{cloud.data_url}/image/v2/info/usage", headers=headers).json() == {"usage": {}}


def test_a_new_cloud_gets_the_usual_definitions_once(own: Cloud) -> None:
    credentials.write(own.running.settings)
    with seed.connect(own.running.settings) as connection:
        assert seed.definitions(connection) == ["32 metadata definitions"]
        assert seed.definitions(connection) == []
    page = own.ask("OTHER", "GET", "/metadefs/namespaces?resource_types=OS::Nova::Aggregate&limit=1000").json()
    assert "OS::Compute::AggregateDiskFilter" in [each["namespace"] for each in page["namespaces"]]


def test_an_operator_says_which_formats_there_are(own: Cloud) -> None:
    said = own.ask("MEMBER", "GET", "/schemas/image").json()["properties"]
    assert said["disk_format"]["enum"] == [None, "raw", "qcow2", "gpt"]
    assert said["container_format"]["enum"] == [None, "bare"]
    for words in ({"disk_format": "vmdk"}, {"container_format": "ova"}):
        refused = own.ask("MEMBER", "POST", "/images", words)
        assert refused.status_code == 400
        assert "Provided object does not match schema 'image'" in refused.text
    image_id = own.make("MEMBER", disk_format="gpt")["id"]
    assert own.change("MEMBER", image_id, "replace", "disk_format", "vmdk") == 400


def test_data_need_not_match_where_the_operator_says_so_but_are_safe_all_the_same(own: Cloud) -> None:
    path = f"/images/{own.make('MEMBER', disk_format='qcow2')['id']}"
    headers = {"X-Auth-Token": own.people["MEMBER_TOKEN"], "Content-Type": "application/octet-stream"}
    address = f"{own.running.data_url}/image/v2{path}"
    assert httpx.put(f"{address}/file", content=qcow2(backing=b"/x"), headers=headers).status_code == 415
    assert httpx.put(f"{address}/file", content=b"no qcow2", headers=headers).status_code == 204
    assert own.ask("MEMBER", "GET", path).json()["virtual_size"] is None


def test_others_are_told_of_definitions(own: Cloud) -> None:
    heard: list[Event] = []
    for noun in ("namespace", "object", "property", "tag", "resource_type"):
        own.running.control.cloud.outbox.subscribe(f"metadef_{noun}", heard.append)
    path, schema = "/metadefs/namespaces", {"title": "Colour", "type": "string"}
    own.ask("ADMIN", "POST", path, {"namespace": "Told", "objects": [{"name": "o", "properties": {"p": schema}}]})
    own.ask("ADMIN", "PUT", f"{path}/Told", {"namespace": "Retold", "visibility": "public"})
    own.ask("ADMIN", "POST", f"{path}/Retold/properties", {"name": "p", **schema})
    own.ask("ADMIN", "PUT", f"{path}/Retold/properties/p", {"name": "q", **schema})
    own.ask("ADMIN", "POST", f"{path}/Retold/tags/t")
    own.ask("ADMIN", "POST", f"{path}/Retold/resource_types", {"name": "OS::Told", "prefix": "hw_"})
    own.ask("ADMIN", "DELETE", f"{path}/Retold/tags")
    own.ask("ADMIN", "DELETE", f"{path}/Retold/resource_types/OS::Told")
    own.ask("ADMIN", "DELETE", f"{path}/Retold")
    until(lambda: bool(heard) and heard[-1].topic == "metadef_namespace.delete")
    told = {event.topic: event.payload for event in heard if event.payload["namespace"] in ("Told", "Retold")}
    assert list(told) == [
        "metadef_namespace.create",
        "metadef_object.create",
        "metadef_namespace.update",
        "metadef_property.create",
        "metadef_property.update",
        "metadef_tag.create",
        "metadef_resource_type.create",
        "metadef_namespace.delete_tags",
        "metadef_resource_type.delete",
        "metadef_namespace.delete",
    ]
    assert told["metadef_object.create"]["properties"][0]["title"] == "Colour"
    assert told["metadef_namespace.update"]["namespace_old"] == "Told"
    assert (told["metadef_property.update"]["name_old"], told["metadef_property.update"]["name"]) == ("p", "q")
    assert told["metadef_resource_type.create"]["prefix"] == "hw_"
    assert told["metadef_namespace.delete"]["deleted"] is True
