# SPDX-License-Identifier: Apache-2.0
"""Whole lives of servers: each does what comes to mind, as a seed has it, and must come to what it was meant for."""

from __future__ import annotations

import random
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from cumulet.kernel.db import sql, tables
from kills.world import COMPUTE, IMAGE, NETWORK, Refused, World
from support.waiting import until

LOOK = 0.1  # seconds between two looks at what is under way; all lives look together
LONGEST = 300.0  # seconds that one step of a life may take
REFUSALS = (400, 403, 404, 409)
HASTE = 0.08  # how often a life does not wait for what it has begun
NONSENSE = 0.08  # how often it asks for what its state forbids
STAYS = 0.03  # how often it lives on, until all others have ended
GIVEN_UP = "Exceeded maximum number of retries."
MOST = 8  # actions of one life


@dataclass(frozen=True)
class Act:
    """An action of servers: its body (or what it is made of), the statuses that it is for, and that to which it leads.

    "" stands for the status of before.
    """

    name: str
    body: Any
    begins: tuple[str, ...]
    ends: str = ""

    def words(self, flavor: str, image: str) -> Any:
        """The body, for which a flavor or an image may be wanted."""
        wanted = {"flavor": {"flavorRef": flavor}, "image": {"imageRef": image}}
        return wanted[self.body] if isinstance(self.body, str) else self.body


_HERE = ("ACTIVE", "SHUTOFF")
ACTS = (
    Act("os-stop", None, ("ACTIVE",), "SHUTOFF"),
    Act("os-start", None, ("SHUTOFF",), "ACTIVE"),
    Act("reboot", {"type": "SOFT"}, ("ACTIVE",)),
    Act("reboot", {"type": "HARD"}, _HERE, "ACTIVE"),
    Act("pause", None, ("ACTIVE",), "PAUSED"),
    Act("unpause", None, ("PAUSED",), "ACTIVE"),
    Act("suspend", None, ("ACTIVE",), "SUSPENDED"),
    Act("resume", None, ("SUSPENDED",), "ACTIVE"),
    Act("rescue", None, _HERE, "RESCUE"),
    Act("unrescue", None, ("RESCUE",), "ACTIVE"),
    Act("shelve", None, ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED"), "SHELVED_OFFLOADED"),
    # Another host is not tried after a failure, as with Nova: it stays what it was.
    Act("unshelve", None, ("SHELVED_OFFLOADED",), "ACTIVE SHELVED_OFFLOADED"),
    Act("resize", "flavor", _HERE, "VERIFY_RESIZE"),
    Act("confirmResize", None, ("VERIFY_RESIZE",), "ACTIVE SHUTOFF"),
    Act("revertResize", None, ("VERIFY_RESIZE",), "ACTIVE SHUTOFF"),
    Act("rebuild", "image", _HERE),
    Act("createImage", {"name": "k"}, ("ACTIVE", "SHUTOFF", "PAUSED", "SUSPENDED")),
    Act("createBackup", {"name": "k", "backup_type": "daily", "rotation": 1}, ("ACTIVE", "SHUTOFF", "PAUSED")),
    Act("trigger_crash_dump", None, ("ACTIVE",)),
    Act("delete", None, ("ACTIVE", "SHUTOFF", "PAUSED"), "SOFT_DELETED"),
    Act("restore", None, ("SOFT_DELETED",), "ACTIVE SHELVED_OFFLOADED"),  # what it was without a host, it is again
)  # fmt: skip


class GivenUp(Exception):
    """Builds were made to fail on every host that was tried."""


@dataclass
class Outcome:
    """What is counted. `errors` are what users met that must not be."""

    lives: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def did(self, action: str) -> None:
        with self.lock:
            self.actions[action] += 1

    def wrong(self, text: str) -> None:
        with self.lock:
            self.errors.append(text)


class Busy:
    """What slow work is under way about, looked up once for all who want to know at the same time."""

    def __init__(self, world: World) -> None:
        self._db = world.cloud.db
        self._lock = threading.Lock()
        self._looked_at = 0.0
        self._found: frozenset[str] = frozenset()

    def __call__(self) -> frozenset[str]:
        asked = time.monotonic()
        with self._lock:
            if self._looked_at < asked:
                begin, saga = time.monotonic(), tables.saga.c
                rows = sql.column(self._db, select(saga.subject).where(saga.finished_at.is_(None)))
                self._found, self._looked_at = frozenset(rows), begin
            return self._found


@dataclass(frozen=True)
class Stage:
    """What all lives share: a user, things to be made of, and what is counted."""

    world: World
    outcome: Outcome
    busy: Busy
    flavors: tuple[str, ...]
    images: tuple[str, ...]
    groups: tuple[str, ...]


class Life:
    """One server from its boot to its end."""

    def __init__(self, stage: Stage, seed: int) -> None:
        self._stage = stage
        self._world = stage.world.again()
        self._chance = random.Random(seed)
        self._server = ""
        self._log: list[str] = []
        self._volumes: list[str] = []
        self._ports: list[str] = []
        self._rests = True  # nothing was left under way, so that its status is what it seems

    def live(self) -> None:
        """Be born, act, and die; what must not be is noted, with all that was done."""
        try:
            self._boot()
            if self._chance.random() > HASTE:
                self._settle("ACTIVE")
                for _ in range(self._chance.randrange(MOST + 1)):
                    self._chance.choices([self._act, *self._others()], [12, 3, 3, 2, 2, 2, 2])[0]()
            if self._chance.random() > STAYS:
                self._die()
        except GivenUp:
            with self._stage.outcome.lock:
                self._stage.outcome.refused["boot, by every host that was tried"] += 1
            self._die()
        except Exception:
            words = "\n".join([f"server {self._server}:", *self._log, traceback.format_exc(limit=8)])
            self._stage.outcome.wrong(words)
        finally:
            self._world.close()

    def _others(self) -> list[Callable[[], None]]:
        return [self._attach, self._plug, self._detach, self._unplug, self._swap, self._say]

    # -- steps -------------------------------------------------------------------------------------------------------

    def _boot(self) -> None:
        chance, words = self._chance, {"flavorRef": self._stage.flavors[0], "imageRef": self._stage.images[0]}
        more: dict[str, Any] = {"metadata": {"a": "b"}, "tags": ["t"]} if chance.random() < 0.3 else {}
        if chance.random() < 0.2:
            new = {"destination_type": "volume", "volume_size": 1, "delete_on_termination": True}
            root = {"boot_index": 0, "source_type": "image", "uuid": words.pop("imageRef"), **new}
            more |= {"block_device_mapping_v2": [root, {"source_type": "blank", **new}]}
        networks = chance.choice(["none", "new", "new", "port"])
        if networks == "port":
            self._ports.append(self._world.make_port())
        wanted = {"none": "none", "new": [{"uuid": self._world.network}], "port": [{"port": p} for p in self._ports]}
        body: dict[str, Any] = {"server": {"name": "k", "networks": wanted[networks], **words, **more}}
        if chance.random() < 0.2:
            body["os:scheduler_hints"] = {"group": chance.choice(self._stage.groups)}
        self._server = self._world.begin("POST", f"{COMPUTE}/servers", body)
        self._did("boot")

    def _act(self) -> None:
        """Something that is allowed now, or now and then something that is not."""
        status, nonsense = self._status(), self._chance.random() < NONSENSE
        choice = [act for act in ACTS if nonsense or status in act.begins]
        act = self._chance.choice(choice or ACTS)  # it may be on its way to another status
        body = act.words(self._chance.choice(self._stage.flavors), self._chance.choice(self._stage.images))
        path = f"{COMPUTE}/servers/{self._server}"
        done = (
            self._begin("delete", "DELETE", path) if act.name == "delete"
            else self._begin(act.name, "POST", f"{path}/action", {act.name: body})
        )  # fmt: skip
        rested, self._rests = self._rests, self._chance.random() >= HASTE
        if self._rests:
            stays = status if rested else ""
            self._settle(act.ends or stays if done and status in act.begins else "")

    def _attach(self) -> None:
        volume = self._new_volume()
        wanted = {"volumeAttachment": {"volumeId": volume}}
        if self._begin("attach", "POST", f"{self._path}/os-volume_attachments", wanted):
            self._volumes.append(volume)
            self._settle("", volume)
            self._expect(volume, "in-use reserved")

    def _detach(self) -> None:
        if self._volumes:
            volume = self._chance.choice(self._volumes)
            if self._begin("detach", "DELETE", f"{self._path}/os-volume_attachments/{volume}"):
                self._volumes.remove(volume)
                self._settle("", volume)
                self._expect(volume, "available")

    def _swap(self) -> None:
        if self._volumes:
            old, new = self._volumes[0], self._new_volume()
            # Only volumes on the move are exchanged, which block storage says of them, or an administrator.
            self._moves(old, "migrating")
            wanted = {"volumeAttachment": {"volumeId": new}}
            # A resized server is asked as well, whose guest may be off: then nothing is exchanged.
            runs = self._rests and self._status() in ("ACTIVE", "PAUSED")
            if self._begin("swap", "PUT", f"{self._path}/os-volume_attachments/{old}", wanted):
                self._settle("", old, new)
                self._volumes[0] = used = new if runs or self._found(new) == "in-use" else old
                self._expect(used, "in-use")
                self._expect(old if used == new else new, "available")
            else:
                self._moves(old, "none")

    def _moves(self, volume: str, status: str) -> None:
        path = f"{self._world.volumes_root}/volumes/{volume}/action"
        self._world.ask("POST", path, {"os-reset_status": {"migration_status": status}})

    def _plug(self) -> None:
        port = self._world.make_port()
        wanted: dict[str, Any] = {"port_id": port}
        if self._chance.random() < 0.5:
            wanted = {"net_id": self._world.network}
        if self._begin("plug", "POST", f"{self._path}/os-interface", {"interfaceAttachment": wanted}):
            self._ports.append(port)
        self._settle("")

    def _unplug(self) -> None:
        found = self._world.interfaces(self._server)
        if found:
            self._begin("unplug", "DELETE", f"{self._path}/os-interface/{self._chance.choice(found)}")
            self._settle("")

    def _say(self) -> None:
        """What is answered at once."""
        console = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
        method, path, body = self._chance.choice([
            ("POST", "/action", {"lock": None}),
            ("POST", "/action", {"unlock": None}),
            ("POST", "/metadata", {"metadata": {"k": str(self._chance.random())}}),
            ("PUT", "/tags", {"tags": ["a", "b"]}),
            ("PUT", "", {"server": {"name": "other"}}),
            ("POST", "/remote-consoles", console),
            ("GET", "/diagnostics", None),
            ("GET", "/os-instance-actions", None),
            ("POST", "/action", {"addSecurityGroup": {"name": "default"}}),
        ])  # fmt: skip
        name = next(iter(body)) if path == "/action" and body else f"{method} {path}"
        self._log.append(name)
        if self._refusable(name, lambda: self._world.ask(method, self._path + path, body)):
            self._did(name)

    def _die(self) -> None:
        self._begin("forceDelete", "POST", f"{self._path}/action", {"forceDelete": None})
        until(lambda: not self._busy(self._server), LONGEST, every=LOOK)
        if self._world.server(self._server) is not None:
            raise AssertionError("the server is there, though it was deleted")
        for volume in self._volumes:
            self._gone("volume", f"{self._world.volumes_root}/volumes/{volume}")
        for port in self._ports:
            self._gone("port", f"{NETWORK}/ports/{port}")
        for image in self._made_images():
            self._gone("image", f"{IMAGE}/images/{image}")

    # -- the world ---------------------------------------------------------------------------------------------------

    @property
    def _path(self) -> str:
        return f"{COMPUTE}/servers/{self._server}"

    def _made_images(self) -> list[str]:
        found = self._world.ask("GET", f"{IMAGE}/images?instance_uuid={self._server}")["images"]
        return [each["id"] for each in found if each["id"] not in self._stage.images]

    def _new_volume(self) -> str:
        volume = self._world.begin("POST", f"{self._world.volumes_root}/volumes", {"volume": {"size": 1}})
        until(lambda: not self._busy(volume), LONGEST, every=LOOK)
        self._did("volume")
        return volume

    def _gone(self, kind: str, path: str) -> None:
        if self._refusable(f"no {kind}", lambda: self._world.ask("DELETE", path)):
            self._did(f"delete {kind}")

    def _status(self) -> str:
        found = self._world.server(self._server)
        if found is None:
            raise AssertionError("the server is not there any more")
        if found["status"] == "ERROR" and str(found["fault"]["message"]).startswith(GIVEN_UP):
            raise GivenUp
        if found["status"] == "ERROR":
            raise AssertionError(f"the server broke: {found.get('fault')}")
        return str(found["status"])

    def _settle(self, status: str, *others: str) -> None:
        """Wait for the end of all that is under way with the server; it must have the status ("": any but ERROR)."""
        until(lambda: not self._busy(self._server, *others), LONGEST, every=LOOK)
        found = self._status()
        if status and found not in status.split():
            raise AssertionError(f"the server is {found}, and not {status}")

    def _expect(self, volume: str, status: str) -> None:
        """The volume must be in one of these statuses."""
        found = self._found(volume)
        if found not in status.split():
            raise AssertionError(f"volume {volume} is {found}, and not {status}")

    def _found(self, volume: str) -> str:
        return str((self._world.volume(volume) or {}).get("status", "gone"))

    def _busy(self, *things: str) -> bool:
        return not self._stage.busy().isdisjoint(things)

    def _begin(self, name: str, method: str, path: str, body: dict[str, Any] | None = None) -> bool:
        """Whether it was begun; it may be refused for every good reason, but never by a 5xx."""
        self._log.append(f"{name} {body or ''}")
        done = self._refusable(name, lambda: self._world.begin(method, path, body))
        if done:
            self._did(name)
        return done

    def _refusable(self, name: str, ask: Callable[[], object]) -> bool:
        try:
            ask()
        except Refused as error:
            self._log.append(f"  refused: {error}")
            if error.status not in REFUSALS:
                raise
            with self._stage.outcome.lock:
                self._stage.outcome.refused[name] += 1
            return False
        return True

    def _did(self, action: str) -> None:
        self._stage.outcome.did(action)
