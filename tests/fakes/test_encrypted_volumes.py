# SPDX-License-Identifier: Apache-2.0
"""Encrypted volumes of servers, through the API: who is told their keys, and what becomes of these."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cumulet.kernel.errors import Forbidden, NotFound, Unsupported
from cumulet.services.block_storage.logic import keys
from cumulet.services.block_storage.store import attachments
from cumulet.services.key_manager.contract import KeyManagerContract
from fakes.hosts import Tenant, another_host
from support.cloud import RunningCloud
from support.waiting import until

VOLUMES, SERVERS = "/block-storage/v3", "/compute/v2.1/servers"


class Place:
    """Two hosts, a type of encrypted volumes, and the key manager as services see it."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.control = cloud.control.cloud
        self.folder, self.tenant = cloud.settings.state, Tenant(cloud)
        self.admin, self.kind = self.tenant.admin, secrets.token_hex(4)
        self.keys = self.control.contracts.use(KeyManagerContract)
        made = self.admin("POST", f"{VOLUMES}/types", {"volume_type": {"name": self.kind}})["volume_type"]["id"]
        words = {"provider": "luks", "control_location": "front-end", "cipher": "aes-xts-plain64", "key_size": 512}
        self.admin("POST", f"{VOLUMES}/types/{made}/encryption", {"encryption": words})

    def volume(self, **more: Any) -> str:
        body = {"volume": {"size": 1, "volume_type": self.kind, **more}}
        made: str = self.admin("POST", f"{VOLUMES}/volumes", body)["volume"]["id"]
        self.tenant.volume_in(made, "available")
        return made

    def retype(self, volume: str, kind: str) -> dict[str, Any]:
        """The volume when that has ended."""
        words = {"os-retype": {"new_type": kind, "migration_policy": "on-demand"}}
        self.admin("POST", f"{VOLUMES}/volumes/{volume}/action", words)
        return self.tenant.volume_in(volume, "available")

    def remove(self, volume: str) -> None:
        self.admin("DELETE", f"{VOLUMES}/volumes/{volume}")
        until(lambda: self.admin.ask("GET", f"{VOLUMES}/volumes/{volume}")[0] == 404)

    def is_kept(self, key: str) -> bool:
        try:
            self.keys.read(key)
        except NotFound:
            return False
        return True

    def key_of(self, volume: str) -> str:
        found: str = self.admin("GET", f"{VOLUMES}/volumes/{volume}/encryption")["encryption_key_id"]
        return found

    def secret(self, volume: str) -> bytes:
        return self.keys.read(self.key_of(volume)).payload

    def told(self, host: str, volume: str, generation: int) -> str:
        """What the host is told when it asks for the key of the attached volume."""
        claim = attachments.of_volumes(self.control.db, [volume])[0]
        return keys.for_host(self.control, host, {"id": claim.id, "generation": generation})["passphrase"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    cloud = RunningCloud(Path(tmp_path_factory.mktemp("hosts")))
    try:
        with another_host(cloud, "host-2"):
            yield Place(cloud)
    finally:
        cloud.close()


def test_the_key_is_for_the_host_of_the_attachment(place: Place) -> None:
    volume, server = place.volume(), place.tenant.server("host-2")
    body = {"volumeAttachment": {"volumeId": volume}}
    place.admin("POST", f"{SERVERS}/{server['id']}/os-volume_attachments", body)
    place.tenant.volume_in(volume, "in-use")
    assert place.told("host-2", volume, 1) == place.secret(volume).hex()
    assert len(place.secret(volume)) == 64
    with pytest.raises(Forbidden):
        place.told("host-1", volume, 1)
    with pytest.raises(NotFound):
        place.told("host-2", volume, 2)
    place.admin("POST", f"{VOLUMES}/volumes/{volume}/action", {"os-extend": {"new_size": 2}})
    until(lambda: place.tenant.volume_in(volume, "in-use")["size"] == 2)
    phrase = place.secret(volume).hex().encode()
    files = [path for path in place.folder.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if phrase in path.read_bytes()] == []
    place.tenant.gone(server["id"])
    place.tenant.volume_in(volume, "available")


def test_a_server_boots_from_an_encrypted_volume(place: Place) -> None:
    disk = {"source_type": "image", "destination_type": "volume", "uuid": place.tenant.image, "volume_size": 1}
    more = {"boot_index": 0, "volume_type": place.kind, "delete_on_termination": True}
    server = place.tenant.server("host-2", block_device_mapping_v2=[{**disk, **more}])
    volume = server["os-extended-volumes:volumes_attached"][0]["id"]
    key = place.key_of(volume)
    assert place.told("host-2", volume, 1) == place.keys.read(key).payload.hex()
    for action in ("os-stop", "os-start"):
        place.admin("POST", f"{SERVERS}/{server['id']}/action", {action: None})
        place.tenant.settled(server["id"])
    place.tenant.gone(server["id"])
    until(lambda: place.admin.ask("GET", f"{VOLUMES}/volumes/{volume}")[0] == 404)
    with pytest.raises(NotFound):
        place.keys.read(key)


def test_copies_have_keys_of_their_own(place: Place) -> None:
    volume = place.volume()
    clone = place.volume(source_volid=volume)
    assert place.key_of(clone) != place.key_of(volume)
    assert place.secret(clone) == place.secret(volume)
    body = {"os-volume_upload_image": {"image_name": "sealed", "disk_format": "qcow2"}}
    made = place.admin("POST", f"{VOLUMES}/volumes/{volume}/action", body)["os-volume_upload_image"]["image_id"]
    place.tenant.volume_in(volume, "available")
    words = {"server": {"name": "none", "flavorRef": place.tenant.flavor, "networks": "none", "imageRef": made}}
    with pytest.raises(AssertionError, match="Direct booting of an image uploaded from an encrypted volume"):
        place.admin("POST", SERVERS, words)
    again = place.volume(imageRef=made)
    assert place.secret(again) == place.secret(volume)
    secret = place.secret(volume)
    place.admin("DELETE", f"{VOLUMES}/volumes/{volume}")
    until(lambda: place.admin.ask("GET", f"{VOLUMES}/volumes/{volume}")[0] == 404)
    assert place.secret(again) == place.secret(clone) == secret


def test_a_foreign_key_is_nobodys_to_take(place: Place) -> None:
    """An image's words are its owner's: a key that is named there must be one that the caller may read."""
    image = place.tenant.new_image(cinder_encryption_key_id=place.key_of(place.volume()))
    body = {"volume": {"size": 1, "volume_type": place.kind, "imageRef": image}}
    with pytest.raises(AssertionError, match="Key manager error"):
        place.tenant.api("POST", f"{VOLUMES}/volumes", body)


def test_a_volume_is_encrypted_where_it_is_or_on_its_way(place: Place) -> None:
    volume = place.tenant.volume()
    home = place.admin("GET", f"{VOLUMES}/volumes/{volume}")["volume"]["os-vol-host-attr:host"]
    found = place.retype(volume, place.kind)
    assert (found["encrypted"], found["volume_type"], found["migration_status"]) == (True, place.kind, "success")
    key = place.key_of(volume)
    service = {"host": home.partition("#")[0], "binary": "cinder-volume"}
    place.admin("PUT", f"{VOLUMES}/os-services/disable", service)
    try:
        found = place.retype(volume, "__DEFAULT__")
    finally:
        place.admin("PUT", f"{VOLUMES}/os-services/enable", service)
    assert (found["encrypted"], found["migration_status"], place.is_kept(key)) == (False, "success", False)
    assert found["os-vol-host-attr:host"] != home
    body = {"os-retype": {"new_type": place.kind, "migration_policy": "on-demand"}}
    server = place.tenant.server()
    place.admin("POST", f"{SERVERS}/{server['id']}/os-volume_attachments", {"volumeAttachment": {"volumeId": volume}})
    place.tenant.volume_in(volume, "in-use")
    place.admin("POST", f"{VOLUMES}/volumes/{volume}/action", body)
    assert place.admin("GET", f"{VOLUMES}/volumes/{volume}")["volume"]["encrypted"] is False
    place.tenant.gone(server["id"])
    place.tenant.volume_in(volume, "available")
    place.remove(volume)


def test_a_volume_whose_host_cannot_tell_is_what_it_was(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, hosts = place.volume(), place.control.hosts
    key, real, sent = place.key_of(volume), hosts.call, []

    def call(host: str, verb: str, body: Any = None, **more: Any) -> Any:
        answer = real(host, verb, body, **more)
        if verb == "volume.recode":
            sent.append(body)
            if len(sent) == 1:
                raise ValueError("the disk is on fire")
        return answer

    monkeypatch.setattr(hosts, "call", call)
    found = place.retype(volume, "__DEFAULT__")
    assert (found["encrypted"], found["volume_type"], found["migration_status"]) == (True, place.kind, "error")
    there, back = sent
    assert (there["passphrase"], there["container"]) == (place.secret(volume).hex(), None)
    assert (back["passphrase"], back["container"]["passphrase"]) == ("", there["passphrase"])
    assert (place.key_of(volume), there["operation"] != back["operation"]) == (key, True)
    place.remove(volume)


def test_a_host_of_the_release_before_encrypts_nothing_anew(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    volume, hosts = place.tenant.volume(), place.control.hosts
    real = hosts.call

    def call(host: str, verb: str, body: Any = None, **more: Any) -> Any:
        if verb == "volume.recode":
            raise Unsupported(f"there is no verb {verb} here", code="UnknownVerb")
        return real(host, verb, body, **more)

    monkeypatch.setattr(hosts, "call", call)
    found = place.retype(volume, place.kind)
    assert (found["encrypted"], found["migration_status"]) == (False, "error")
    place.remove(volume)


@pytest.mark.parametrize("sealed", ["old", "new"])
def test_a_server_keeps_its_volume_where_one_of_two_is_encrypted(place: Place, sealed: str) -> None:
    """As with Nova: the request is taken, and the work given up."""
    old, new = (place.volume() if each == sealed else place.tenant.volume() for each in ("old", "new"))
    server = place.tenant.server()["id"]
    attachments_of = f"{SERVERS}/{server}/os-volume_attachments"
    place.admin("POST", attachments_of, {"volumeAttachment": {"volumeId": old}})
    place.tenant.volume_in(old, "in-use")
    place.admin("POST", f"{VOLUMES}/volumes/{old}/action", {"os-reset_status": {"migration_status": "migrating"}})
    body = {"volumeAttachment": {"volumeId": new}}
    assert place.admin.ask("PUT", f"{attachments_of}/{old}", body)[0] == 202
    place.tenant.volume_in(new, "available")
    place.tenant.volume_in(old, "in-use")
    (left,) = place.admin("GET", attachments_of)["volumeAttachments"]
    assert left["volumeId"] == old
    done = place.admin("GET", f"{SERVERS}/{server}/os-instance-actions")["instanceActions"][0]
    found = place.admin("GET", f"{SERVERS}/{server}/os-instance-actions/{done['request_id']}")["instanceAction"]
    assert (found["action"], found["events"][0]["result"]) == ("swap_volume", "Error")
    place.tenant.gone(server)
    place.tenant.volume_in(old, "available")
    for each in (old, new):
        place.admin("POST", f"{VOLUMES}/volumes/{each}/action", {"os-force_delete": None})
