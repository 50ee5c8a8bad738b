# SPDX-License-Identifier: Apache-2.0
"""A user of a cloud that is being killed: asks until it is answered, and knows whether what it asked for was begun."""

from __future__ import annotations

import contextlib
import copy
import gzip
import os
import secrets
import time
import uuid
from collections.abc import Mapping
from typing import Any

import httpx
from sqlalchemy import select

from cumulet.kernel import door
from cumulet.kernel.db import sql, tables
from support.killable import KillableCloud
from support.waiting import until

Body = dict[str, Any]

PATIENCE = 240.0  # seconds that anything may take on a busy machine
CALM = float(os.environ.get("KILLS_CALM", "30"))  # seconds within which every periodic repair has come by
PAUSE = 0.05  # seconds between two attempts to reach a part that is away
VERSIONS = "compute 2.95, volume 3.70"
COMPUTE, NETWORK, IMAGE, KEYS = "/compute/v2.1", "/network/v2.0", "/image/v2", "/key-manager/v1"


class Refused(Exception):
    """The cloud answered no: `status` and what it said."""

    def __init__(self, method: str, path: str, status: int, text: str) -> None:
        super().__init__(f"{method} {path}: {status} {text[:500]}")
        self.status = status


class World:
    """The cloud's admin, in a project of its own things: image, flavor, networks."""

    def __init__(self, cloud: KillableCloud) -> None:
        self.cloud = cloud
        self._http = httpx.Client(timeout=30, verify=False)  # to read certificates takes longer than to ask
        self._token = ""
        self._url = cloud.settings.control_url
        self.project = ""
        self._log_in()
        self.volumes_root = f"/block-storage/v3/{self.project}"
        flavor = {"name": "k", "ram": 64, "vcpus": 1, "disk": 1}
        self.flavor = self.ask("POST", f"{COMPUTE}/flavors", {"flavor": flavor})["flavor"]["id"]
        # Whatever dies, what its servers have of hosts for themselves is theirs.
        self.ask("POST", f"{COMPUTE}/flavors/{self.flavor}/os-extra_specs", {"extra_specs": {"hw:numa_nodes": "1"}})
        self.image = self.make_image()
        self.keep: set[str] = set()  # further images that are never cleared
        self.network = self.make_network("10.11.0.0/16")
        self.outside = self.make_network("192.0.2.0/24", **{"router:external": True})
        self.router = self._make_router()

    def again(self) -> World:
        """Another user of the same things, for another thread."""
        other = copy.copy(self)
        other._http = httpx.Client(timeout=30, verify=False)
        return other

    def close(self) -> None:
        """Let go of the connections of one of several users."""
        self._http.close()

    # -- asking ------------------------------------------------------------------------------------------------------

    def ask(self, method: str, path: str, body: Body | None = None, version: str = VERSIONS) -> Any:
        """An answer, however often it has to be asked for; only for what may be done twice. Raises Refused."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self._send(method, path, body, f"req-{uuid.uuid4()}", version)
            except (httpx.HTTPError, Refused) as error:
                if isinstance(error, Refused) and error.status != 503:
                    raise
                if time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE)
            self._answers()

    def begin(self, method: str, path: str, body: Body | None = None) -> str:
        """Have slow work begun, once, though the answer may be lost; the id of what the work is about.

        "" where the cloud answered well and began nothing.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            request_id, answered = f"req-{uuid.uuid4()}", False
            try:
                self._send(method, path, body, request_id)
                answered = True
            except httpx.HTTPError:
                pass
            except Refused as error:
                if error.status != 503:
                    raise
            subject = self._begun(request_id)
            if subject or answered:
                return subject
            assert time.monotonic() < deadline, f"{method} {path} began nothing"
            time.sleep(PAUSE)

    def _begun(self, request_id: str) -> str:
        saga = tables.saga
        until(self._answers, PATIENCE)
        # The first one is what was asked for: it may have begun others in the meantime.
        query = select(saga.c.subject).where(saga.c.request_id == request_id).order_by(saga.c.id).limit(1)
        found = sql.column(self.cloud.db, query)
        return str(found[0]) if found else ""

    def _answers(self) -> bool:
        """Whether a replica answers; from now on it is the one that is asked."""
        for control in self.cloud.controls:
            if self.cloud.answers(control.control_url):
                self._url = control.control_url
                return True
        return False

    def _send(self, method: str, path: str, body: Body | bytes | None, request_id: str, version: str = VERSIONS) -> Any:
        base = self.cloud.settings.data_url if path.startswith("/image") else self._url
        headers = {
            "X-Auth-Token": self._token,
            "X-OpenStack-Request-ID": request_id,
            "OpenStack-API-Version": version,
        }
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/octet-stream"
            answer = self._http.request(method, base + path, content=body, headers=headers)
        elif method == "PATCH" and path.startswith("/image"):
            headers["Content-Type"] = "application/openstack-images-v2.1-json-patch"
            answer = self._http.request(method, base + path, json=body, headers=headers)
        else:
            answer = self._http.request(method, base + path, json=body, headers=headers)
        if answer.status_code >= 400:
            raise Refused(method, path, answer.status_code, answer.text)
        return answer.json() if answer.content and "json" in answer.headers.get("content-type", "") else None

    def _log_in(self) -> None:
        user = {"name": "admin", "domain": {"id": "default"}, "password": self.cloud.admin_password}
        auth = {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"name": "admin", "domain": {"id": "default"}}},
        }
        answer = self._http.post(f"{self._url}/identity/v3/auth/tokens", json={"auth": auth})
        self._token = answer.headers["X-Subject-Token"]
        self.project = answer.json()["token"]["project"]["id"]

    # -- what is made without slow work ------------------------------------------------------------------------------

    def make_image(self, size: int = 4096) -> str:
        words = {"name": "k", "disk_format": "raw", "container_format": "bare"}
        image = str(self.ask("POST", f"{IMAGE}/images", words)["id"])
        self._send("PUT", f"{IMAGE}/images/{image}/file", secrets.token_bytes(size), f"req-{uuid.uuid4()}")
        return image

    def stage_image(self, content: bytes) -> str:
        """A raw image whose data wait for their import, packed."""
        image = str(self.ask("POST", f"{IMAGE}/images", {"disk_format": "raw", "container_format": "bare"})["id"])
        self._send("PUT", f"{IMAGE}/images/{image}/stage", gzip.compress(content), f"req-{uuid.uuid4()}")
        return image

    def make_network(self, cidr: str, **more: Any) -> str:
        network = self.ask("POST", f"{NETWORK}/networks", {"network": {"name": "k", **more}})["network"]["id"]
        self.ask("POST", f"{NETWORK}/subnets", {"subnet": {"network_id": network, "ip_version": 4, "cidr": cidr}})
        return str(network)

    def make_port(self) -> str:
        return str(self.ask("POST", f"{NETWORK}/ports", {"port": {"network_id": self.network}})["port"]["id"])

    def _make_router(self) -> str:
        wanted = {"name": "k", "external_gateway_info": {"network_id": self.outside}}
        router = str(self.ask("POST", f"{NETWORK}/routers", {"router": wanted})["router"]["id"])
        subnet = self.ask("GET", f"{NETWORK}/networks/{self.network}")["network"]["subnets"][0]
        self.ask("PUT", f"{NETWORK}/routers/{router}/add_router_interface", {"subnet_id": subnet})
        return router

    def lift_quotas(self) -> None:
        """Have room for as much as the hosts can take."""
        compute = {"instances": -1, "cores": -1, "ram": -1, "server_group_members": -1}
        self.ask("PUT", f"{COMPUTE}/os-quota-sets/{self.project}", {"quota_set": compute})
        storage = {"volumes": -1, "gigabytes": -1, "snapshots": -1}
        self.ask("PUT", f"/block-storage/v3/{self.project}/os-quota-sets/{self.project}", {"quota_set": storage})
        self.ask("PUT", f"{NETWORK}/quotas/{self.project}", {"quota": {"port": -1}})

    # -- what is made by slow work, and done when these return -------------------------------------------------------

    def make_flavor(self) -> str:
        """One that is larger than that of servers in all that it has."""
        flavor = {"name": f"large-{secrets.token_hex(4)}", "ram": 128, "vcpus": 2, "disk": 2}
        return str(self.ask("POST", f"{COMPUTE}/flavors", {"flavor": flavor})["flavor"]["id"])

    def make_server(self, **more: Any) -> str:
        server = self.begin("POST", f"{COMPUTE}/servers", self.server_words(**more))
        self.rest()
        assert self.server(server)["status"] == "ACTIVE", self.server(server)
        return server

    def server_words(self, **more: Any) -> Body:
        words = {"name": "k", "flavorRef": self.flavor, "networks": [{"uuid": self.network}], "imageRef": self.image}
        return {"server": {**words, **more}}

    def make_volume(self, **more: Any) -> str:
        volume = self.begin("POST", f"{self.volumes_root}/volumes", {"volume": {"size": 1, **more}})
        self.rest()
        assert self.volume(volume)["status"] == "available", self.volume(volume)
        return volume

    def make_snapshot(self, volume: str) -> str:
        words = {"snapshot": {"volume_id": volume, "force": True}}
        snapshot = self.begin("POST", f"{self.volumes_root}/snapshots", words)
        self.rest()
        return snapshot

    def make_backup(self, volume: str) -> str:
        backup = self.begin("POST", f"{self.volumes_root}/backups", {"backup": {"volume_id": volume}})
        self.rest()
        return backup

    def act(self, server: str, action: str, body: Any = None) -> str:
        return self.begin("POST", f"{COMPUTE}/servers/{server}/action", {action: body})

    def remove_server(self, server: str) -> str:
        """Delete it for good."""
        return self.act(server, "forceDelete")

    def attach(self, server: str, volume: str) -> str:
        words = {"volumeAttachment": {"volumeId": volume}}
        return self.begin("POST", f"{COMPUTE}/servers/{server}/os-volume_attachments", words)

    # -- looking -----------------------------------------------------------------------------------------------------

    def server(self, server: str) -> Mapping[str, Any] | None:
        return self._find(f"{COMPUTE}/servers/{server}", "server")

    def volume(self, volume: str) -> Mapping[str, Any] | None:
        return self._find(f"{self.volumes_root}/volumes/{volume}", "volume")

    def snapshot(self, snapshot: str) -> Mapping[str, Any] | None:
        return self._find(f"{self.volumes_root}/snapshots/{snapshot}", "snapshot")

    def backup(self, backup: str) -> Mapping[str, Any] | None:
        return self._find(f"{self.volumes_root}/backups/{backup}", "backup")

    def port(self, port: str) -> Mapping[str, Any] | None:
        return self._find(f"{NETWORK}/ports/{port}", "port")

    def interfaces(self, server: str) -> list[str]:
        found = self.ask("GET", f"{COMPUTE}/servers/{server}/os-interface")["interfaceAttachments"]
        return [each["port_id"] for each in found]

    def images(self) -> list[Mapping[str, Any]]:
        """All but those that servers are made of."""
        found = self.ask("GET", f"{IMAGE}/images?limit=1000")["images"]
        return [each for each in found if each["id"] not in {self.image, *self.keep}]

    def _find(self, path: str, key: str) -> Mapping[str, Any] | None:
        try:
            found: Mapping[str, Any] = self.ask("GET", path)[key]
        except Refused as error:
            if error.status == 404:
                return None
            raise
        return found

    # -- coming to rest ----------------------------------------------------------------------------------------------

    def rest(self, seconds: float = PATIENCE) -> None:
        """Wait until no saga is left, and all parts are there."""
        try:
            until(lambda: not self.unfinished() and self.cloud.is_ready(), seconds)
        except AssertionError:
            raise AssertionError(f"no rest: {self.unfinished()}\n{self.cloud.last_words()}") from None

    def findings(self, seconds: float = CALM) -> list[str]:
        """What is not as it should be, and stays so for so long; a host that dies meanwhile is waited for."""
        deadline = time.monotonic() + PATIENCE
        answer = self._audit(seconds)
        while answer["hosts"] != self.cloud.hosts and time.monotonic() < deadline:
            time.sleep(PAUSE)
            answer = self._audit(seconds)
        found = [f"{each['service']}: {each['text']} ({each['subject']})" for each in answer["findings"]]
        return found if answer["hosts"] == self.cloud.hosts else [*found, f"only {answer['hosts']} were asked"]

    def _audit(self, seconds: float) -> Body:
        path = door.path_of(self.cloud.settings.run, "control")
        answer: Body = door.ask(path, "audit", timeout=None, seconds=seconds)
        return answer

    def quiet(self) -> None:
        """Wait until no saga is left, whoever is there."""
        try:
            until(lambda: not self.unfinished(), PATIENCE)
        except AssertionError:
            raise AssertionError(f"no end: {self.unfinished()}\n{self.cloud.last_words()}") from None

    def unfinished(self) -> list[str]:
        saga = tables.saga.c
        query = select(saga.flow, saga.step, saga.status, saga.attempts, saga.error).where(saga.finished_at.is_(None))
        return [" ".join(map(str, row)) for row in sql.tuples(self.cloud.db, query)]

    def clear(self, seconds: float = PATIENCE) -> None:
        """Delete every server, volume, snapshot, backup, image, port and secret there is; wait for the end of all."""
        for server in self.ask("GET", f"{COMPUTE}/servers?soft_deleted=True")["servers"]:
            with contextlib.suppress(Refused):
                self.remove_server(server["id"])
        self.rest(seconds)
        for one in self.ask("GET", f"{self.volumes_root}/group_snapshots")["group_snapshots"]:
            self._delete(f"{self.volumes_root}/group_snapshots/{one['id']}")
        self.rest(seconds)
        for one in self.ask("GET", f"{self.volumes_root}/groups")["groups"]:
            self.ask("POST", f"{self.volumes_root}/groups/{one['id']}/action", {"delete": {"delete-volumes": True}})
        self.rest(seconds)
        for snapshot in self.ask("GET", f"{self.volumes_root}/snapshots")["snapshots"]:
            self._delete_by_force(f"{self.volumes_root}/snapshots/{snapshot['id']}")
        self.rest(seconds)
        for backup in self.ask("GET", f"{self.volumes_root}/backups")["backups"]:
            self._delete(f"{self.volumes_root}/backups/{backup['id']}")
        self.rest(seconds)
        for volume in self.ask("GET", f"{self.volumes_root}/volumes")["volumes"]:
            self._delete_by_force(f"{self.volumes_root}/volumes/{volume['id']}")
        for image in self.images():
            self._delete(f"{IMAGE}/images/{image['id']}")
        for port in self.ask("GET", f"{NETWORK}/ports")["ports"]:
            if not port["device_owner"]:
                self._delete(f"{NETWORK}/ports/{port['id']}")
        for noun in ("order", "container", "secret"):
            for each in self.ask("GET", f"{KEYS}/{noun}s")[f"{noun}s"]:
                self._delete(KEYS + each[f"{noun}_ref"].partition(KEYS)[2])
        self.rest(seconds)
        left = [each["id"] for each in self.ask("GET", f"{COMPUTE}/servers?soft_deleted=True")["servers"]]
        left += [each["id"] for each in self.ask("GET", f"{self.volumes_root}/volumes")["volumes"]]
        assert left == [], self.cloud.last_words()

    def _delete_by_force(self, path: str) -> None:
        """Whatever status it is left in."""
        self._remove("POST", f"{path}/action", {"os-force_delete": {}})

    def _delete(self, path: str) -> None:
        self._remove("DELETE", path)

    def _remove(self, method: str, path: str, body: Body | None = None) -> None:
        try:
            self.ask(method, path, body)
        except Refused as error:
            if error.status != 404:
                raise
