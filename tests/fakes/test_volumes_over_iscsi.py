# SPDX-License-Identifier: Apache-2.0
"""Volumes of an iSCSI back end through the API: real targets, fake servers of two hosts, and initiators outside."""

from __future__ import annotations

import logging
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from cumulet.agent import Agent
from cumulet.kernel import detached
from cumulet.kernel.errors import CumuletError
from cumulet.services.block_storage import loops
from cumulet.services.block_storage.drivers.iscsi import PID_FILE, initiator_of, target_of
from cumulet.services.block_storage.drivers.tgt import Target, Tgt
from cumulet.settings.block_storage import FakeVolumeBackend
from fakes.hosts import Tenant
from support.caller import Caller
from support.cloud import RunningCloud
from support.engines import ENGINES
from support.people import environment
from support.waiting import until

ROOT = "/block-storage/v3"
MINE, OTHER = "iqn.1993-08.org.debian:01:mine", "iqn.1993-08.org.debian:01:other"
SERVER = "11111111-2222-3333-4444-555555555555"


class Place:
    """Two hosts, one with an iSCSI back end beside its fake one, and types for its volumes."""

    def __init__(self, cloud: RunningCloud) -> None:
        self.cloud, self.tenant = cloud, Tenant(cloud)
        self.ask = self.tenant.admin
        words = environment(cloud)
        headers = {"openstack-api-version": "volume 3.71"}
        self.api = Caller(cloud.settings.control.port, words["ADMIN_TOKEN"], headers)
        self.stranger = Caller(cloud.settings.control.port, words["OTHER_TOKEN"], headers)
        for name, more in (("san", {}), ("shared", {"multiattach": "<is> True"})):
            specs = {"name": name, "extra_specs": {"volume_backend_name": "san", **more}}
            self.ask("POST", f"{ROOT}/types", {"volume_type": specs})
        quota = {"quota_set": {"volumes": -1, "gigabytes": -1}}
        project = self.tenant.admin_project
        self.ask("PUT", f"{ROOT}/{project}/os-quota-sets/{project}", quota)
        self.folder = cloud.settings.state / "agent" / "block_storage" / "targets" / "san"

    def volume(self, kind: str = "san") -> str:
        body = {"volume": {"size": 1, "name": secrets.token_hex(4), "volume_type": kind}}
        made: str = self.ask("POST", f"{ROOT}/volumes", body)["volume"]["id"]
        self.tenant.volume_in(made, "available")
        return made

    def act(self, volume: str, **words: Any) -> tuple[int, Any]:
        return self.api.ask("POST", f"{ROOT}/volumes/{volume}/action", words)

    def do(self, volume: str, **words: Any) -> Any:
        return self.api("POST", f"{ROOT}/volumes/{volume}/action", words)

    def attach(self, server: str, volume: str) -> None:
        body = {"volumeAttachment": {"volumeId": volume}}
        self.ask("POST", f"/compute/v2.1/servers/{server}/os-volume_attachments", body)
        until(lambda: self.port_of(server, volume))
        self.tenant.volume_in(volume, "in-use")

    def port_of(self, server: str, volume: str) -> bool:
        path = f"/compute/v2.1/servers/{server}/os-volume_attachments"
        return volume in [each["volumeId"] for each in self.ask("GET", path)["volumeAttachments"]]

    def detach(self, server: str, volume: str, left: str = "available") -> None:
        self.ask("DELETE", f"/compute/v2.1/servers/{server}/os-volume_attachments/{volume}")
        until(lambda: not self.port_of(server, volume))
        self.tenant.volume_in(volume, left)

    def target(self, volume: str) -> Target | None:
        """As the daemon shows it; None where it is not there."""
        try:
            return Tgt(self.folder).targets().get(target_of(volume))
        except CumuletError:
            return None

    def admitted(self, volume: str) -> set[str]:
        found = self.target(volume)
        return set() if found is None else found.initiators

    def is_open_to(self, told: dict[str, Any], initiator: str, *commands: str) -> bool:
        """Whether somebody who knows nothing but what the API has told gets in, and does this."""
        words = f"driver=iscsi,transport=tcp,portal={told['target_portal']},target={told['target_iqn']}"
        words += f",lun={told['target_lun']},initiator-name={initiator}"
        words += f",user={told['auth_username']},password-secret=chap"
        secret = f"secret,id=chap,data={told['auth_password']}"
        does = [word for command in commands or ("read 0 512",) for word in ("-c", command)]
        argv = ["qemu-io", "--object", secret, *does, "--image-opts", words]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
        return done.returncode == 0 and "failed" not in done.stdout


@pytest.fixture(scope="module")
def place(engine: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    listed = [{"name": "fake", "driver": "fake"}, {"name": "san", "driver": "iscsi", "port": port}]
    settings: dict[str, Any] = {"block_storage.backends": listed, "address": "127.0.0.1"}
    state = Path(tmp_path_factory.mktemp("san"))
    cloud = RunningCloud(state, (), pytestconfig.stash[ENGINES].new_url(engine), settings)
    kept = msgspec.structs.replace(cloud.settings.block_storage, backends=(FakeVolumeBackend(name="fake"),))
    others = {"host": "host-2", "state": state / "host-2", "run": cloud.settings.run, "block_storage": kept}
    agent = Agent(msgspec.structs.replace(cloud.settings, **others))
    try:
        agent.start()
        until(lambda: len(cloud.control.hosts.connected()) == 2)
        yield Place(cloud)
    finally:
        agent.stop()
        cloud.close()
        daemon = detached.Process.of(state / "agent" / "block_storage" / "targets" / "san" / PID_FILE)
        if daemon is not None:
            with daemon:
                daemon.kill()


def test_servers_here_and_elsewhere_have_targets_for_as_long_as_they_have_volumes(place: Place) -> None:
    volume = place.volume()
    near, far = place.tenant.server("host-1"), place.tenant.server("host-2")
    for server, host in ((near, "host-1"), (far, "host-2")):
        place.attach(server["id"], volume)
        assert place.admitted(volume) == {initiator_of(host)}
        taken = place.api("POST", f"{ROOT}/snapshots", {"snapshot": {"volume_id": volume, "force": True}})["snapshot"]
        path = f"{ROOT}/snapshots/{taken['id']}"
        until(lambda path=path: place.api("GET", path)["snapshot"]["status"] == "available")
        assert place.admitted(volume) == {initiator_of(host)}
        place.api("DELETE", path)
        place.detach(server["id"], volume)
        assert place.target(volume) is None
    for server in (near, far):
        place.tenant.gone(server["id"])


def test_a_volume_in_use_is_not_extended_and_stays_what_it_is(place: Place) -> None:
    """As Cinder does it: the scheduler finds that the back end cannot, and a message says so."""
    volume, server = place.volume(), place.tenant.server("host-2")
    place.attach(server["id"], volume)
    before = place.api("GET", f"{ROOT}/limits")["limits"]["absolute"]["totalGigabytesUsed"]
    status, answer = place.act(volume, **{"os-extend": {"new_size": 2}})
    assert (status, answer) == (202, None)
    told = until(lambda: place.api("GET", f"{ROOT}/messages?resource_uuid={volume}")["messages"])
    assert told[0]["user_message"] == "extend volume:Could not find any available weighted backend."
    assert place.tenant.volume_in(volume, "in-use")["size"] == 1
    assert place.api("GET", f"{ROOT}/limits")["limits"]["absolute"]["totalGigabytesUsed"] == before
    assert place.admitted(volume) == {initiator_of("host-2")}
    place.detach(server["id"], volume)
    place.do(volume, **{"os-extend": {"new_size": 2}})
    until(lambda: place.tenant.volume_in(volume, "available")["size"] == 2)
    place.tenant.gone(server["id"])


def test_a_shared_volume_has_a_target_for_all_of_its_servers(place: Place) -> None:
    volume = place.volume("shared")
    near, far = place.tenant.server("host-1"), place.tenant.server("host-2")
    place.attach(near["id"], volume)
    number = place.target(volume).number  # type: ignore[union-attr]
    place.attach(far["id"], volume)
    assert place.admitted(volume) == {initiator_of("host-1"), initiator_of("host-2")}
    place.detach(near["id"], volume, "in-use")
    assert place.admitted(volume) == {initiator_of("host-2")}
    assert place.target(volume).number == number  # type: ignore[union-attr]
    place.tenant.gone(far["id"])
    until(lambda: place.target(volume) is None)


def test_an_attachment_lets_its_initiator_in_and_no_other(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    volume = place.volume()
    connector = {"host": "outside", "initiator": MINE, "ip": "192.0.2.7", "multipath": True}
    made = place.api("POST", f"{ROOT}/attachments", {"attachment": {"volume_uuid": volume, "instance_uuid": SERVER}})
    path = f"{ROOT}/attachments/{made['attachment']['id']}"
    assert made["attachment"]["connection_info"] == {}
    assert place.act(volume, **{"os-initialize_connection": {"connector": {"initiator": OTHER}}})[0] == 400
    now = place.api("PUT", path, {"attachment": {"connector": connector}})["attachment"]
    told = now["connection_info"]
    password, user = told["auth_password"], told["auth_username"]
    portal = f"127.0.0.1:{place.cloud.settings.block_storage.backends[1].port}"  # type: ignore[union-attr]
    assert told == {
        "driver_volume_type": "iscsi", "target_discovered": False, "target_portal": portal, "target_lun": 1,
        "target_iqn": target_of(volume), "target_portals": [portal], "target_iqns": [target_of(volume)],
        "target_luns": [1], "volume_id": volume, "auth_method": "CHAP", "auth_username": user,
        "auth_password": password, "access_mode": "rw", "encrypted": False, "discard": True, "qos_specs": None,
        "cacheable": False, "enforce_multipath": False, "attachment_id": now["id"],
    }  # fmt: skip
    assert place.is_open_to(told, MINE, "write -P 7 0 4k", "read -P 7 0 4k")
    assert not place.is_open_to(told, OTHER)
    assert not place.is_open_to({**told, "auth_password": "guessed-wrong"}, MINE)
    assert place.api("GET", path)["attachment"]["connection_info"] == told
    assert place.api("PUT", path, {"attachment": {"connector": connector}})["attachment"]["connection_info"] == told
    assert place.stranger.ask("GET", path)[0] == 404
    refused = place.api.ask("PUT", path, {"attachment": {"connector": {**connector, "initiator": OTHER}}})
    assert refused[0] == 400
    assert place.act(volume, **{"os-initialize_connection": {"connector": {"initiator": OTHER}}})[0] == 400
    again = place.do(volume, **{"os-initialize_connection": {"connector": connector}})["connection_info"]
    assert (again["data"]["auth_password"], again["driver_volume_type"]) == (password, "iscsi")
    place.api("POST", f"{path}/action", {"os-complete": None})
    with detached.Process.of(place.folder / PID_FILE) as daemon:  # type: ignore[union-attr]
        daemon.kill()
    until(lambda: place.admitted(volume) == {MINE})
    assert place.is_open_to(told, MINE, "read -P 7 0 4k")
    state = place.cloud.settings.state
    kept = [each for each in state.rglob("*") if each.is_file() and each.suffix != ".raw"]  # those are disks
    shown = [each for each in kept if password.encode() in each.read_bytes()]
    assert shown == [place.folder / volume / "export.json"]
    assert shown[0].stat().st_mode & 0o77 == 0
    place.api("DELETE", path)
    assert place.target(volume) is None
    assert not place.is_open_to(told, MINE)
    assert place.tenant.volume_in(volume, "available")["attachments"] == []
    assert password not in caplog.text


def test_an_attachment_may_be_made_with_its_connector(place: Place) -> None:
    """One of several, each with a secret of its own; a volume that is deleted takes them with it."""
    volume = place.volume("shared")
    told = {}
    for initiator in (MINE, OTHER):
        words = {"volume_uuid": volume, "connector": {"host": initiator[-5:], "initiator": initiator}}
        made = place.api("POST", f"{ROOT}/attachments", {"attachment": words})["attachment"]
        place.api("POST", f"{ROOT}/attachments/{made['id']}/action", {"os-complete": None})
        told[initiator] = made["connection_info"]
    assert place.is_open_to(told[MINE], MINE, "write -P 9 0 4k")
    assert place.is_open_to(told[OTHER], OTHER, "read -P 9 0 4k")
    assert told[MINE]["auth_password"] != told[OTHER]["auth_password"]
    place.do(volume, **{"os-reset_status": {"status": "available", "attach_status": "detached"}})
    assert place.target(volume) is None
    place.do(volume, **{"os-initialize_connection": {"connector": {"initiator": MINE}}})
    assert place.cloud.control.cloud.vault.get(f"block_storage.chap.{volume}") is not None
    place.api("DELETE", f"{ROOT}/volumes/{volume}")
    until(lambda: place.api.ask("GET", f"{ROOT}/volumes/{volume}")[0] == 404)
    assert place.target(volume) is None
    assert place.cloud.control.cloud.vault.get(f"block_storage.chap.{volume}") is None


@pytest.mark.parametrize("end", ["os-terminate_connection", "os-detach", "a transfer", "an extension", "the host"])
def test_the_older_way_in(place: Place, end: str) -> None:
    """Reserved, connected, attached; and what ends that."""
    volume = place.volume()
    connector = {"connector": {"initiator": MINE, "host": "outside"}}
    place.do(volume, **{"os-reserve": None})
    info = place.do(volume, **{"os-initialize_connection": connector})["connection_info"]
    told = info["data"]
    assert (info["driver_volume_type"], told["volume_id"]) == ("iscsi", volume)
    assert place.do(volume, **{"os-initialize_connection": connector})["connection_info"] == info
    assert place.is_open_to(told, MINE, "write -P 7 0 4k")
    loops.ask_hosts(place.cloud.control.cloud)
    assert place.admitted(volume) == {MINE}
    if end == "os-detach":
        place.do(volume, **{"os-attach": {"host_name": "outside", "mountpoint": "/dev/sdx"}})
        place.do(volume, **{end: None})
    elif end == "os-terminate_connection":
        other = {"connector": {**connector["connector"], "initiator": OTHER}}
        place.do(volume, **{"os-terminate_connection": other})
        assert place.admitted(volume) == {MINE}
        place.do(volume, **{end: connector})
    elif end == "a transfer":
        place.do(volume, **{"os-unreserve": None})
        offer = place.api("POST", f"{ROOT}/volume-transfers", {"transfer": {"volume_id": volume}})["transfer"]
        key = {"accept": {"auth_key": offer["auth_key"]}}
        place.api("POST", f"{ROOT}/volume-transfers/{offer['id']}/accept", key)
    elif end == "an extension":
        place.do(volume, **{"os-unreserve": None})
        place.do(volume, **{"os-extend": {"new_size": 2}})
        until(lambda: place.tenant.volume_in(volume, "available")["size"] == 2)
    else:
        # What an interrupted request has left on the host.
        body = {"id": volume, "generation": 99, "client": OTHER, "backend": "san", "protocol": "iscsi"}
        place.cloud.control.hosts.call("host-1", "volume.export", body)
        assert place.admitted(volume) == {OTHER}
        loops.ask_hosts(place.cloud.control.cloud)
    assert place.target(volume) is None
    assert not place.is_open_to(told, MINE)


def test_an_attachment_takes_the_place_of_who_has_none(place: Place) -> None:
    volume, server = place.volume(), place.tenant.server("host-2")
    info = {}
    for initiator in (MINE, OTHER):
        words = {"os-initialize_connection": {"connector": {"initiator": initiator}}}
        info[initiator] = place.do(volume, **words)["connection_info"]["data"]
    assert place.admitted(volume) == {OTHER}
    place.attach(server["id"], volume)
    assert place.admitted(volume) == {initiator_of("host-2")}
    assert not place.is_open_to(info[OTHER], OTHER)
    refused = place.act(volume, **{"os-initialize_connection": {"connector": {"initiator": MINE}}})
    assert refused[0] == 400
    place.tenant.gone(server["id"])


@pytest.mark.parametrize(
    ("initiator", "why"),
    [
        ({}, "Connector doesn't have required information: initiator"),
        ({"initiator": None}, "Connector doesn't have required information: initiator"),
        ({"initiator": "iqn.x,password=y"}, "The connector's initiator is not the name of one."),
        ({"initiator": 7}, "The connector's initiator is not the name of one."),
    ],
    ids=["nobody", "null", "no-name", "number"],
)
def test_a_connector_that_does_not_say_who_it_is(place: Place, initiator: dict[str, Any], why: str) -> None:
    volume, said = place.volume(), {"host": "outside", **initiator}
    refused = place.act(volume, **{"os-initialize_connection": {"connector": said}})
    assert (refused[0], refused[1]["badRequest"]["message"]) == (400, f"Invalid input received: {why}")
    words = {"attachment": {"volume_uuid": volume, "connector": said}}
    assert place.api.ask("POST", f"{ROOT}/attachments", words)[0] == 400
    assert place.tenant.volume_in(volume, "available")["attachments"] == []


def test_who_calls_itself_a_host_of_this_cloud_is_told_no_way(place: Place) -> None:
    volume = place.volume()
    connector = {"host": "host-2", "initiator": initiator_of("host-2")}
    told = place.do(volume, **{"os-initialize_connection": {"connector": connector}})["connection_info"]
    assert told["driver_volume_type"] == "local"
    assert place.target(volume) is None
