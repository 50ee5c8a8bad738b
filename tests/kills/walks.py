# SPDX-License-Identifier: Apache-2.0
"""Random walks: a user does what comes to mind while parts of the cloud die, and remembers what must be true.

A walk is a state machine of hypothesis, so that its steps follow from a seed. The moments of kills do not: a walk that
failed prints its steps and the findings, and the logs tell the rest.
"""

from __future__ import annotations

import os
import uuid
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from kills import matrix
from kills.lives import ACTS, Act
from kills.world import COMPUTE, IMAGE, NETWORK, Refused, World

NONSENSE = (
    ("POST", f"{COMPUTE}/servers", {"server": {"name": "x"}}),
    ("POST", f"{NETWORK}/ports", {"port": {"network_id": "nowhere"}}),
    ("GET", f"{COMPUTE}/servers/{uuid.UUID(int=1)}", None),
    ("DELETE", f"{NETWORK}/floatingips/{uuid.UUID(int=2)}", None),
    ("PUT", f"{NETWORK}/ports/{uuid.UUID(int=3)}", {"port": {"name": 7}}),
)
PLACES = [place for place in matrix.CONTROL if place.partition(":")[2] in ("before", "inside", "after")]
LONG = "WALKS" in os.environ  # the long walks meet hosts in trouble as well
TROUBLES = ('kind = "delay"\nseconds = 0.5', 'kind = "lose_answer"', 'kind = "fail"\nerror = "NotReady"')
TROUBLED = ("compute.fake.[bsradpu]*", "network.fake.apply", "block_storage.fake.[cesd]*")
ALIVE = (
    "ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED", "RESCUE", "VERIFY_RESIZE", "SHELVED", "SHELVED_OFFLOADED",
    "SOFT_DELETED",
)  # fmt: skip
MORE_ACTS = (Act("shelveOffload", None, ()), Act("lock", None, ()), Act("unlock", None, ()))
index = st.integers(0, 5)


class Walk(RuleBasedStateMachine):
    """The steps. `world` is set by the test that walks; `log` holds what was done, for its report."""

    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.log: list[str] = []
        self.servers: list[str] = []
        self.volumes: list[str] = []
        self.snapshots: list[str] = []
        self.ports: list[str] = []
        self.floating: list[str] = []
        self.gone: list[tuple[str, str]] = []

    # -- servers -----------------------------------------------------------------------------------------------------

    @initialize()
    def begin(self) -> None:
        self.large = self.world.make_flavor()
        self.create_server()

    @precondition(lambda self: len(self.servers) < 5)
    @rule()
    def create_server(self) -> None:
        self._keep(self.servers, "POST", f"{COMPUTE}/servers", self.world.server_words())

    @precondition(lambda self: self.servers)
    @rule(which=index)
    def delete_server(self, which: int) -> None:
        server = self._one(self.servers, which)
        if self._try("POST", f"{COMPUTE}/servers/{server}/action", {"forceDelete": None}):
            self.servers.remove(server)
            self.gone.append(("server", server))

    @precondition(lambda self: self.servers)
    @rule(which=index, act=st.sampled_from([*ACTS, *MORE_ACTS]))
    def act(self, which: int, act: Act) -> None:
        path = f"{COMPUTE}/servers/{self._one(self.servers, which)}"
        if act.name == "delete":
            self._try("DELETE", path)
        else:
            self._try("POST", f"{path}/action", {act.name: act.words(self.large, self.world.image)})

    # -- volumes -----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.volumes) < 5)
    @rule(of_image=st.booleans())
    def create_volume(self, of_image: bool) -> None:
        words = {"size": 1, **({"imageRef": self.world.image} if of_image else {})}
        self._keep(self.volumes, "POST", f"{self.world.volumes_root}/volumes", {"volume": words})

    @precondition(lambda self: self.volumes)
    @rule(which=index)
    def delete_volume(self, which: int) -> None:
        self._drop(self.volumes, which, f"{self.world.volumes_root}/volumes", "volume")

    @precondition(lambda self: self.volumes)
    @rule(which=index, size=st.integers(1, 3))
    def extend_volume(self, which: int, size: int) -> None:
        volume = self._one(self.volumes, which)
        self._try("POST", f"{self.world.volumes_root}/volumes/{volume}/action", {"os-extend": {"new_size": size}})

    @precondition(lambda self: self.volumes)
    @rule(which=index)
    def upload_volume(self, which: int) -> None:
        words = {"os-volume_upload_image": {"image_name": "made", "disk_format": "raw", "force": True}}
        self._try("POST", f"{self.world.volumes_root}/volumes/{self._one(self.volumes, which)}/action", words)

    @precondition(lambda self: self.volumes)
    @rule(which=index)
    def take_snapshot(self, which: int) -> None:
        words = {"snapshot": {"volume_id": self._one(self.volumes, which), "force": True}}
        self._keep(self.snapshots, "POST", f"{self.world.volumes_root}/snapshots", words)

    @precondition(lambda self: self.snapshots)
    @rule(which=index)
    def delete_snapshot(self, which: int) -> None:
        self._drop(self.snapshots, which, f"{self.world.volumes_root}/snapshots", "snapshot")

    @precondition(lambda self: self.servers and self.volumes)
    @rule(server=index, volume=index)
    def attach(self, server: int, volume: int) -> None:
        path = f"{COMPUTE}/servers/{self._one(self.servers, server)}/os-volume_attachments"
        self._try("POST", path, {"volumeAttachment": {"volumeId": self._one(self.volumes, volume)}})

    @precondition(lambda self: self.servers and self.volumes)
    @rule(server=index, volume=index)
    def detach(self, server: int, volume: int) -> None:
        path = f"{COMPUTE}/servers/{self._one(self.servers, server)}/os-volume_attachments"
        self._try("DELETE", f"{path}/{self._one(self.volumes, volume)}")

    @precondition(lambda self: self.servers and self.volumes)
    @rule(server=index, volume=index, other=index)
    def swap(self, server: int, volume: int, other: int) -> None:
        path = f"{COMPUTE}/servers/{self._one(self.servers, server)}/os-volume_attachments"
        wanted = {"volumeAttachment": {"volumeId": self._one(self.volumes, other)}}
        self._try("PUT", f"{path}/{self._one(self.volumes, volume)}", wanted)

    # -- networks ----------------------------------------------------------------------------------------------------

    @precondition(lambda self: len(self.ports) < 5)
    @rule()
    def create_port(self) -> None:
        self.log.append("create_port")
        self.ports.append(self.world.make_port())

    @precondition(lambda self: self.ports)
    @rule(which=index)
    def delete_port(self, which: int) -> None:
        port = self._one(self.ports, which)
        if self._ask("DELETE", f"{NETWORK}/ports/{port}"):
            self.ports.remove(port)

    @precondition(lambda self: self.servers and self.ports)
    @rule(server=index, port=index)
    def plug(self, server: int, port: int) -> None:
        path = f"{COMPUTE}/servers/{self._one(self.servers, server)}/os-interface"
        self._try("POST", path, {"interfaceAttachment": {"port_id": self._one(self.ports, port)}})

    @precondition(lambda self: self.servers and self.ports)
    @rule(server=index, port=index)
    def unplug(self, server: int, port: int) -> None:
        path = f"{COMPUTE}/servers/{self._one(self.servers, server)}/os-interface"
        self._try("DELETE", f"{path}/{self._one(self.ports, port)}")

    @precondition(lambda self: len(self.floating) < 3)
    @rule()
    def create_floating(self) -> None:
        wanted = {"floatingip": {"floating_network_id": self.world.outside}}
        made = self._ask("POST", f"{NETWORK}/floatingips", wanted)
        self.floating.append(made["floatingip"]["id"])

    @precondition(lambda self: self.floating and self.ports)
    @rule(which=index, port=index, lead=st.booleans())
    def lead_floating(self, which: int, port: int, lead: bool) -> None:
        wanted = {"floatingip": {"port_id": self._one(self.ports, port) if lead else None}}
        self._ask("PUT", f"{NETWORK}/floatingips/{self._one(self.floating, which)}", wanted)

    @precondition(lambda self: self.floating)
    @rule(which=index)
    def delete_floating(self, which: int) -> None:
        floating = self._one(self.floating, which)
        self._ask("DELETE", f"{NETWORK}/floatingips/{floating}")
        self.floating.remove(floating)

    # -- the rest ----------------------------------------------------------------------------------------------------

    @rule(which=index)
    def delete_image(self, which: int) -> None:
        found = self.world.images()
        if found:
            self._ask("DELETE", f"{IMAGE}/images/{found[which % len(found)]['id']}")

    @rule(servers=st.sampled_from([1, 10]))
    def change_quota(self, servers: int) -> None:
        path = f"{COMPUTE}/os-quota-sets/{self.world.project}"
        self._ask("PUT", path, {"quota_set": {"instances": servers, "force": True}})

    @rule(words=st.sampled_from(NONSENSE))
    def ask_for_nonsense(self, words: tuple[str, str, Any]) -> None:
        assert self._ask(*words) is None

    @rule(part=st.sampled_from(["control", "agent", "data"]))
    def kill(self, part: str) -> None:
        names = {"control": self.world.cloud.replicas, "agent": self.world.cloud.agents, "data": ["data"]}[part]
        name = names[len(self.log) % len(names)]
        if part == "agent":
            self.world.cloud.trouble("")  # a new process counts anew, and may never come beyond its start
        self.log.append(f"kill {name}")
        self.world.cloud.kill(name)

    @rule(place=st.sampled_from(PLACES))
    def kill_at(self, place: str) -> None:
        self.log.append(f"kill at {place}")
        self.world.cloud.wish(place)

    @precondition(lambda self: LONG)
    @rule(trouble=st.sampled_from(TROUBLES), place=st.sampled_from(TROUBLED))
    def trouble(self, trouble: str, place: str) -> None:
        """Nothing that a caller may not wait out: what was asked for is done nevertheless."""
        self.log.append(f"trouble at {place}: {trouble}")
        self.world.cloud.trouble(f'[[fault]]\nplace = "{place}"\ncount = 2\n{trouble}\n')

    @rule()
    def wait(self) -> None:
        self.log.append("wait")
        self.world.rest()

    # -- what must be true in the end --------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Let the cloud come to rest; nothing may be wrong, before and after everything is deleted."""
        self.world.cloud.ungranted(0.0)
        self.world.cloud.trouble("")
        self.world.rest()
        wrong = [*self._broken(), *self.world.findings()]
        assert wrong == [], self._report(wrong)
        self._ask("PUT", f"{COMPUTE}/os-quota-sets/{self.world.project}", {"quota_set": {"instances": 100}})
        for floating in self.world.ask("GET", f"{NETWORK}/floatingips")["floatingips"]:
            self._ask("DELETE", f"{NETWORK}/floatingips/{floating['id']}")
        self.world.clear()
        wrong = self.world.findings()
        assert wrong == [], self._report(wrong)

    def _broken(self) -> list[str]:
        """What is not as this user remembers it."""
        wrong = []
        for server in self.servers:
            status = (self.world.server(server) or {}).get("status", "gone")
            if status not in ALIVE:
                wrong.append(f"server {server} is {status}")
        for volume in self.volumes:
            status = (self.world.volume(volume) or {}).get("status", "gone")
            if status not in ("available", "in-use", "reserved"):
                wrong.append(f"volume {volume} is {status}")
        for kind, key in self.gone:
            if getattr(self.world, kind)(key) is not None:
                wrong.append(f"{kind} {key} is there, though it was deleted")
        return wrong

    def _report(self, wrong: list[str]) -> str:
        return "\n".join([*wrong, "after:", *self.log, self.world.cloud.last_words()])

    @staticmethod
    def _one(things: list[str], which: int) -> str:
        return things[which % len(things)]

    def _keep(self, things: list[str], method: str, path: str, body: Any) -> None:
        made = self._try(method, path, body)
        if made:
            things.append(made)

    def _drop(self, things: list[str], which: int, path: str, kind: str) -> None:
        key = self._one(things, which)
        if self._try("DELETE", f"{path}/{key}"):
            things.remove(key)
            self.gone.append((kind, key))

    def _try(self, method: str, path: str, body: Any = None) -> str:
        """Begin slow work; "" where the cloud refused, which it may for every good reason, but never by a 5xx."""
        self.log.append(f"{method} {path} {body or ''}")
        try:
            return self.world.begin(method, path, body)
        except Refused as error:
            self._check(error)
            return ""

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer, an empty one as a mapping; None where the cloud refused."""
        self.log.append(f"{method} {path} {body or ''}")
        try:
            return self.world.ask(method, path, body) or {"done": True}
        except Refused as error:
            self._check(error)
            return None

    def _check(self, error: Refused) -> None:
        self.log.append(f"  refused: {error}")
        assert error.status in (400, 403, 404, 409), self._report([str(error)])
