# SPDX-License-Identifier: Apache-2.0
"""The composition root: the only module that knows every service.

It reads the manifests, binds contracts to the facades that offer them, and runs one of the two roles that serve APIs:
the control plane, or the data process for services whose requests carry bulk bytes.
"""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast
from urllib.error import URLError
from urllib.request import urlopen

import msgspec
import uvicorn
from sqlalchemy import literal, select

from cumulet.kernel import audit, door, explain, lock, log, metrics, notifications
from cumulet.kernel.bell import Bell
from cumulet.kernel.cloud import Cloud, Hosts
from cumulet.kernel.contracts import Contracts
from cumulet.kernel.db import Database, migrate, sql
from cumulet.kernel.db.outbox import Outbox
from cumulet.kernel.door import Door
from cumulet.kernel.errors import NotReady
from cumulet.kernel.http import websockets
from cumulet.kernel.http.gathering import GatheringProtocol
from cumulet.kernel.http.message import Reply
from cumulet.kernel.http.routes import Api
from cumulet.kernel.http.shell import Shell
from cumulet.kernel.link import controller
from cumulet.kernel.link.controller import HostInfo
from cumulet.kernel.link.names import SOCKET_NAME
from cumulet.kernel.link.registry import Registry
from cumulet.kernel.link.rows import Replica
from cumulet.kernel.loop import Loop
from cumulet.kernel.manifest import read_all
from cumulet.kernel.periodic import Periodic, Timers
from cumulet.kernel.policy import Policy
from cumulet.kernel.saga import Flow, Sagas
from cumulet.kernel.vault import Vault
from cumulet.settings import Settings

LOG = logging.getLogger(__name__)

SERVICES = Path(__file__).parent / "services"
POLICY_RELOAD = 10.0  # seconds between two looks at the policy files
SAGA_PRUNE = 3600.0  # seconds between two clearings of ended sagas
KEEP_ALIVE = 75  # seconds that a quiet client's connection is kept: more than clients and balancers keep theirs
SCHEMA_WAIT = 30.0  # seconds that the data process waits for the control plane's migrations

Role = Literal["control", "data"]

LAG = metrics.Gauge("cumulet_loop_lag_seconds", "How late the event loop is", ("role",))


class NoHosts:
    """The hosts as the data process sees them: none, for they are joined to the control plane."""

    def call(self, host: str, verb: str, body: dict[str, Any], *, timeout: float = 60.0) -> Any:
        raise NotReady(f"host {host} cannot be reached from this process")

    def connected(self) -> list[HostInfo]:
        return []

    def known(self) -> list[str]:
        return []

    def is_connected(self, host: str) -> bool:
        return False

    def replicas(self) -> list[Replica]:
        return []

    def on_connect(self, fn: Callable[[HostInfo, dict[str, Any]], None]) -> None:
        """No host will ever join here."""

    def on_disconnect(self, fn: Callable[[HostInfo], None]) -> None:
        """No host will ever leave here."""

    def on_replica_gone(self, fn: Callable[[list[str]], None]) -> None:
        """This process holds no host's link."""

    def on_event(self, name: str, fn: Callable[[str, dict[str, Any]], None]) -> None:
        """No event will ever come here."""

    def offer(self, verb: str, fn: Callable[[str, dict[str, Any]], Any]) -> None:
        """No host will ever call here."""

    def answer(self, verb: str, fn: Callable[[str, dict[str, Any]], Any], *, afar: bool = False) -> None:
        """Nobody will ever ask here."""


class App:
    """One process's worth of cloud: built, then started, then stopped."""

    def __init__(self, settings: Settings, role: Role) -> None:
        self.settings = settings
        self.role = role
        self.services = tuple(read_all(SERVICES))
        self._flows: dict[str, Flow] = {}
        self._apis: dict[str, Api] = {}
        self._stopping = threading.Event()
        settings.state.mkdir(parents=True, exist_ok=True, mode=0o700)
        settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.loop = Loop()
        self.db = Database.open(settings)
        self.bus = self.db.dialect.bus(settings.run)
        contracts = Contracts()
        owner = f"{settings.replica}/{role}"
        here = [service.package for service in self.services if service.runs == role]
        vault = Vault(self.db, settings.master_key)
        self.hosts: Hosts = self._hosts(owner, vault) if role == "control" else NoHosts()
        self.cloud = Cloud(
            settings=settings,
            db=self.db,
            contracts=contracts,
            outbox=Outbox(self.db, self.bus, owner),
            sagas=Sagas(self.db, self.bus, self.flow, owner, here),
            hosts=self.hosts,
            services=self.services,
            load_policy=self._load_policy,
            vault=vault,
        )
        self.timers = Timers(self.cloud, owner, self._periodic())
        self.shell = Shell(self.cloud, self.find_api, self._pages(), settings.threads)
        self.door = Door(self.loop, door.path_of(settings.run, role), self._verbs())
        self._bind()

    def start(self) -> None:
        """Bring the schema up to date, fill what must be there, and begin to work; the API is served by `asgi`."""
        self.door.open()
        if self.role == "data":
            self._await_schema()
            self.bus.start()
            self.cloud.sagas.run(self.cloud)
            self.timers.start()
            return
        with self.db.alone("kernel:start"):
            for applied in migrate.migrate(self.db, self._migrations()):
                LOG.info("migrated %s", applied)
            self._each_room("bootstrap", lambda room: room.run(self.cloud))
        for room_name in ("hosts", "listeners"):
            self._each_room(room_name, lambda room: room.listen(self.cloud))
        notifications.log_those(self.cloud.outbox, self.settings.log.notifications, self.settings.host)
        self.bus.start()
        self.cloud.outbox.start()
        self.cloud.sagas.run(self.cloud)
        self.timers.start()
        assert isinstance(self.hosts, controller.Hosts)
        self.hosts.start()

    def stop(self) -> None:
        """Let go of everything; what is unfinished is resumed by the next start."""
        self._stopping.set()
        self.door.close()
        if self.role == "control":
            assert isinstance(self.hosts, controller.Hosts)
            self.hosts.stop()
        self.cloud.sagas.stop()
        if self.role == "control":
            self.cloud.outbox.stop()
        self.timers.stop()
        self.bus.stop()
        self.shell.close()
        self.db.close()
        self.loop.close()

    def find_api(self, segment: str) -> Api | None:
        """The API below a path's first segment, loaded at its first request."""
        api = self._apis.get(segment)
        if api is None:
            for service in self.services:
                if service.root == segment and service.runs == self.role and (room := service.room("api")):
                    api = self._apis[segment] = room.API
        return api

    def flow(self, name: str) -> Flow:
        """The flow called `<service>.<verb>`."""
        if name not in self._flows:
            package = name.partition(".")[0]
            for service in self.services:
                if service.package == package and (room := service.room("flows")):
                    self._flows.update({flow.name: flow for flow in room.FLOWS})
        return self._flows[name]

    def _bind(self) -> None:
        for service in self.services:
            if service.offers and (facade := service.room("facade")):
                for protocol, make in facade.offers(self.cloud).items():
                    self.cloud.contracts.offer(protocol, make)

    def _each_room(self, name: str, act: Callable[[Any], None]) -> None:
        for service in self.services:
            if room := service.room(name):
                act(room)

    def _migrations(self) -> dict[str, Path]:
        return {service.package: service.migrations for service in self.services if service.migrations}

    def _await_schema(self) -> None:
        deadline = time.monotonic() + SCHEMA_WAIT
        while migrate.pending(self.db, self._migrations()):
            if time.monotonic() > deadline:
                raise NotReady("the control plane has not brought the schema up to date")
            self._stopping.wait(0.1)

    def _periodic(self) -> list[Periodic]:
        work = [Periodic("kernel.policies", POLICY_RELOAD, lambda cloud: cloud.reload_policies(), everywhere=True)]
        if self.role == "control":
            work.append(Periodic("kernel.sagas", SAGA_PRUNE, lambda cloud: cloud.sagas.prune()))
        for service in self.services:
            here = service.runs == self.role
            # What every process does for itself is done where the service's API is, all else in the control plane.
            if (here or self.role == "control") and (room := service.room("loops")):
                work += [each for each in room.LOOPS if (here if each.everywhere else self.role == "control")]
        return work

    def _load_policy(self, package: str) -> Policy:
        service = next(service for service in self.services if service.package == package)
        rules = service.room("policy")
        policy = Policy(rules.RULES, getattr(rules, "SCOPES", {})) if rules else Policy({})
        override = self.settings.policy_dir / f"{service.type}.yaml"
        if override.is_file():
            for warning in policy.load(override):
                LOG.warning("%s: %s", override, warning)
        return policy

    def _hosts(self, owner: str, vault: Vault) -> controller.Hosts:
        link = self.settings.link
        registry = Registry(self.db, owner)
        path = self.settings.run / SOCKET_NAME
        if not link.host:
            return controller.Hosts(self.loop, path, registry)
        # Loaded only where hosts of other machines may come: TLS costs memory.
        from cumulet.kernel.link.admission import Admission
        from cumulet.kernel.link.tls_door import TlsDoor

        admission = Admission(self.db, vault, link.certificate_lifetime)
        door = TlsDoor(
            admission, owner, host=link.host, port=link.port, address=self.settings.link_address, silence=link.silence
        )
        return controller.Hosts(self.loop, path, registry, door=door, admission=admission)

    def _verbs(self) -> dict[str, door.Verb]:
        verbs: dict[str, door.Verb] = {"log.level": log.Levels(self.settings.log.level).turn}
        if self.role == "control":
            verbs["hosts"] = lambda _words: self._joined()
            verbs["audit"] = audit.door_verb(self.cloud)
            verbs["explain"] = explain.door_verb(self.cloud, self.flow)
        return verbs

    def _joined(self) -> list[dict[str, Any]]:
        """The hosts that are there, for `cumulet status`."""
        return [msgspec.to_builtins(info) for info in self.hosts.connected()]

    def _pages(self) -> dict[str, Callable[[], Reply]]:
        return {
            "/": self._index,
            "/healthz": lambda: Reply(200, {"status": "alive"}),
            "/readyz": self._ready,
            "/metrics": self._metrics,
        }

    def _index(self) -> Reply:
        here = [service for service in self.services if service.runs == self.role]
        return Reply(200, {"services": {service.type: f"/{service.root}" for service in here}})

    def _metrics(self) -> Reply:
        LAG.set(self.loop.lag, self.role)
        return Reply(200, metrics.render().encode(), media_type=metrics.CONTENT_TYPE)

    def _ready(self) -> Reply:
        parts = {"database": self._database_answers()}
        if self.role == "control":
            parts["agent"] = bool(self.hosts.connected())
            parts["data"] = self._data_answers()
        return Reply(200 if all(parts.values()) else 503, {"ready": all(parts.values()), "parts": parts})

    def _database_answers(self) -> bool:
        try:
            return bool(sql.scalar(self.db, select(literal(1))))
        except NotReady:
            return False

    def _data_answers(self) -> bool:
        try:
            with urlopen(f"{self.settings.data_url}/healthz", timeout=2) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


def web_server(app: App, host: str, port: int, patience: int = 5) -> uvicorn.Server:
    """The server of the app's APIs; requests under way have `patience` seconds when it ends.

    It believes no `X-Forwarded-For`: who may speak for others is for the settings to say. Websockets are the data
    process's.
    """
    config = uvicorn.Config(
        app.shell, host=host, port=port, log_config=None, access_log=False, server_header=False, proxy_headers=False,
        http=GatheringProtocol, ws=cast(Any, websockets.protocol) if app.role == "data" else "none", lifespan="off",
        ws_max_size=websockets.LARGEST, ws_per_message_deflate=False,
        timeout_graceful_shutdown=patience, timeout_keep_alive=KEEP_ALIVE,
    )  # fmt: skip
    return uvicorn.Server(config)


def serve(settings: Settings, role: Role) -> None:
    """Run one role in the foreground until a SIGTERM or SIGINT."""
    log.setup(settings.log.level)
    settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock.hold(settings.run / f"{role}.lock"):
        app = App(settings, role)
        listen = settings.control if role == "control" else settings.data
        ended = Bell()
        ended.ring_at(signal.SIGTERM, signal.SIGINT)
        app.start()
        server = web_server(app, listen.host, listen.port)
        running = app.loop.start(server.serve())
        running.add_done_callback(lambda _: ended.ring())
        LOG.info("%s serves http://%s:%d", role, listen.host, listen.port)
        ended.wait()
        server.should_exit = True
        running.result(15)
        app.stop()
