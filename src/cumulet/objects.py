# SPDX-License-Identifier: Apache-2.0
"""The object store's process: devices, engine and API in one, joined to identity by the link; it has no database.

There may be several workers: they share the port, each opens devices of its own and reaches the others' through them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Sequence
from typing import Any

import msgspec
import uvicorn

from cumulet.kernel import door, lock, log, metrics, metrics_of_many
from cumulet.kernel.bell import Bell
from cumulet.kernel.door import Door
from cumulet.kernel.errors import Invalid, NotReady
from cumulet.kernel.link import own_ways
from cumulet.kernel.link.asker import Asker
from cumulet.kernel.loop import Loop
from cumulet.services.object_store.api import pipeline
from cumulet.services.object_store.api.app import ObjectApp
from cumulet.services.object_store.api.pages import Application, Front, Pages
from cumulet.services.object_store.api.protocol import ObjectProtocol
from cumulet.services.object_store.api.site import Options, Site
from cumulet.services.object_store.engine.encrypted import Encrypted
from cumulet.services.object_store.engine.jobs.upkeep import Job
from cumulet.services.object_store.logic import key_fetching, sharding, sync_sending, temp_auth
from cumulet.services.object_store.logic.access import Roles, Rules
from cumulet.services.object_store.logic.deliveries import Deliveries
from cumulet.services.object_store.logic.known import KnownCallers
from cumulet.services.object_store.logic.limits import Limits
from cumulet.services.object_store.logic.rates import TAKE, Here, Together
from cumulet.services.object_store.logic.reach import Reaching
from cumulet.services.object_store.logic.recon import Recon
from cumulet.services.object_store.logic.standing import PERIOD, Standing, sizes_of
from cumulet.services.object_store.logic.sync_sending import Sync
from cumulet.services.object_store.logic.temp_auth import TempRules
from cumulet.services.object_store.logic.temp_tokens import TempAuth
from cumulet.settings import Settings
from cumulet.settings.object_store import ObjectStore

LOG = logging.getLogger(__name__)

NAME = "objects"
KEEP_ALIVE = 75  # seconds that a quiet client's connection is kept
PATIENCE = 5  # seconds that requests under way have when the process ends
DOOR_TIMEOUT = 100.0  # seconds that an operator's question may take
METRICS_TIMEOUT = 2.0  # seconds that another worker may take to tell its metrics
LAG = metrics.Gauge("cumulet_object_loop_lag_seconds", "How late the event loop of the object store is")


class Objects:
    """Built, then started, then stopped; `running` ends when the server does.

    It is worker number `worker` of as many as the settings say.
    """

    def __init__(self, settings: Settings, worker: int = 0) -> None:
        self._settings = settings
        self._worker = worker
        settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.loop = Loop()
        self._door = Door(
            self.loop,
            door.path_of(settings.run, name_of(settings, worker)),
            {
                "log.level": log.Levels(settings.log.level).turn,
                "link": self._link,
                "workers.away": self._away,
                "metrics": lambda _words: self._metrics(),
                "container.show": self._show_container,
                "container.shard": self._shard_container,
            },
        )
        self._front = Front()
        chosen, folder = settings.object_store, settings.objects_folder
        self._rates = Together(None if worker == 0 else self._ask_first)
        verbs = {**Deliveries(folder, chosen).verbs, TAKE: self._rates.answer}
        self._reaching = Reaching(chosen, folder, settings.run, settings.host, worker, verbs)
        self._asker: Asker | None = None
        self._known: KnownCallers | None = None
        self._standing: Standing | None = None
        self._waiting: asyncio.Task[None] | None = None
        self._server: uvicorn.Server | None = None
        self.running: Any = None

    def start(self, listeners: Sequence[socket.socket] | None = None) -> None:
        """Open the store and serve it, by `listeners` where there are some.

        A host that has joined, and waits for its secret or its rings, answers 503 until it has them. Raises OSError,
        Invalid for what cannot be used as it is, and NotJoined.
        """
        self._door.open()
        self.loop.wait(self._open())
        assert self._server is not None
        self.running = self.loop.start(self._server.serve(list(listeners) if listeners else None))

    def stop(self) -> None:
        """Let go of everything; what was acknowledged is kept."""
        self._door.close()
        if self._server is not None and self.running is not None:
            self._server.should_exit = True
            self.running.result(3 * PATIENCE)
        self.loop.wait(self._close())
        self.loop.close()

    async def _open(self) -> None:
        settings = self._settings
        member = own_ways.membership(settings.state)
        self._asker = Asker(own_ways.ways(settings, member), NAME)
        self._asker.start()
        await self._reaching.open(self._asker.call)
        self._known = KnownCallers(self._asker)
        self._known.start()
        joined = member is not None
        try:
            await self._begin(self._known, joined=joined)
        except NotReady as error:
            LOG.info("the object store waits: %s", error)
            self._waiting = asyncio.ensure_future(self._wait(self._known, joined=joined))
        pages = Pages(self._front, self._all_metrics)
        self._server = web_server(pages, settings.objects.host, settings.objects.port)

    async def _begin(self, known: KnownCallers, *, joined: bool) -> None:
        """Open what there is and serve it. NotReady where that is not all yet."""
        settings = self._settings
        self._standing = standing = await Standing.open(
            settings.objects_folder, settings.object_store, self._reaching, joined=joined, worker=self._worker
        )
        try:
            app = self._application(standing, known)
            await self._reaching.linked()
        except BaseException:
            self._standing = None
            await standing.close()
            raise
        self._front.serve(app)

    def _application(self, standing: Standing, known: KnownCallers) -> ObjectApp:
        """The API over the store, and what it has done beside requests. Raises Invalid, NotReady."""
        site = complete(site_of(self._settings, standing, known, self._rates))
        app = application(site)
        jobs = [sync_sending.job(standing.upkeep, standing.engine.places, site.engine, sync_of(site)), *key_jobs(site)]
        for job in jobs:
            standing.upkeep.also(job)
        return app

    async def _wait(self, known: KnownCallers, *, joined: bool) -> None:
        trouble = ""
        while True:
            await asyncio.sleep(PERIOD)
            try:
                await self._begin(known, joined=joined)
            except NotReady:
                continue
            except Exception as error:
                if str(error) != trouble:
                    LOG.exception("the object store cannot begin")
                trouble = str(error)
                continue
            LOG.info("the object store begins")
            return

    async def _close(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._waiting
        if self._known is not None:
            await self._known.stop()
        if self._asker is not None:
            await self._asker.stop()
        if self._standing is not None:
            await self._standing.close()
        await self._reaching.close()

    async def _ask_first(self, verb: str, body: Any, timeout: float) -> Any:
        """The first worker's answer. Raises a kernel error."""
        return await self._reaching.worker(0).call(verb, body, timeout)

    def _show_container(self, words: dict[str, Any]) -> Any:
        if self._standing is None:
            raise NotReady("The object store waits for its rings.")
        return self.loop.wait(sharding.show(self._standing.engine, words), DOOR_TIMEOUT)

    def _shard_container(self, words: dict[str, Any]) -> Any:
        standing = self._standing
        if standing is None:
            raise NotReady("The object store waits for its rings.")
        size = sizes_of(self._settings.object_store.sharding).rows_per_shard
        asked = sharding.shard(standing.engine, standing.upkeep.sharder, words, size)
        return self.loop.wait(asked, DOOR_TIMEOUT)

    def _link(self, _words: dict[str, Any]) -> Any:
        return msgspec.to_builtins(self._asker.status) if self._asker is not None else None

    def _away(self, _words: dict[str, Any]) -> list[int]:
        """The workers of this host whose devices are not reached from here."""
        if self.running is None:
            raise NotReady("The object store is not served yet.")
        return self.loop.wait(self._reaching.away())

    def _metrics(self) -> str:
        LAG.set(self.loop.lag)
        return metrics.render()

    async def _all_metrics(self) -> str:
        """Those of all workers that answer."""
        others = [number for number in range(self._settings.object_store.workers) if number != self._worker]
        if not others:
            return self._metrics()
        told = await asyncio.gather(*(asyncio.to_thread(self._metrics_of, number) for number in others))
        pages = {str(number): page for number, page in zip(others, told, strict=True) if page}
        return metrics_of_many.together(dict(sorted({**pages, str(self._worker): self._metrics()}.items())))

    def _metrics_of(self, worker: int) -> str:
        path = door.path_of(self._settings.run, name_of(self._settings, worker))
        try:
            return str(door.ask(path, "metrics", timeout=METRICS_TIMEOUT))
        except (NotReady, door.DoorError, TimeoutError) as error:
            LOG.info("worker %d does not tell its metrics: %s", worker, error)
            return ""


def name_of(settings: Settings, worker: int) -> str:
    """What the process is called: of several workers each has its number."""
    return NAME if settings.object_store.workers == 1 else f"{NAME}-{worker}"


def complete(site: Site) -> Site:
    """With what lies between the API and the devices. Invalid where that is told what it does not understand."""
    try:
        return pipeline.with_encryption(site)
    except (ValueError, TypeError, LookupError) as error:
        raise Invalid(f"object_store.api.filters.encryption: {error}") from error


def key_jobs(site: Site) -> list[Job]:
    """What fetches the secrets that a key manager has. Invalid for what cannot be."""
    section, engine = key_fetching.SECTION, site.engine
    if not site.options.has(section) or not isinstance(engine, Encrypted):
        return []
    try:
        return [key_fetching.job(site.options.of(section), engine.secrets)]
    except (ValueError, TypeError) as error:
        raise Invalid(f"object_store.api.filters.{section}: {error}") from error


def sync_of(site: Site) -> Sync:
    """How containers are sent elsewhere. Invalid for what cannot be."""
    try:
        return Sync.of(site.options.of("container_sync"))
    except (ValueError, TypeError, AttributeError) as error:
        raise Invalid(f"object_store.api.filters.container_sync: {error}") from error


def application(site: Site) -> ObjectApp:
    """The store's API. Invalid where a filter is told what it does not understand."""
    try:
        return ObjectApp(site)
    except (ValueError, TypeError, LookupError) as error:
        raise Invalid(f"object_store.api.filters: {error}") from error


def site_of(settings: Settings, standing: Standing, known: KnownCallers, rates: Here) -> Site:
    """What the API works with."""
    chosen = settings.object_store
    return Site(
        engine=standing.engine,
        identity=known,
        options=options_of(settings),
        limits=limits_of(chosen),
        rules=rules_of(chosen),
        temp_auth=temp_auth_of(chosen, standing.home.secret.seal, settings.objects.url),
        rates=rates,
        looks=Recon(standing.home, standing.engine.places, standing.upkeep),
    )


def options_of(settings: Settings) -> Options:
    """What the API was told."""
    said = msgspec.structs.asdict(settings.object_store.api)
    del said["constraints"]
    return Options(region=settings.region, **said)


def limits_of(chosen: ObjectStore) -> Limits:
    """Swift's constraints. Invalid for one that is not known."""
    try:
        limits = msgspec.convert(chosen.api.constraints, Limits)
    except msgspec.ValidationError as error:
        raise Invalid(f"object_store.api.constraints: {error}") from None
    if unknown := chosen.api.constraints.keys() - set(Limits.__struct_fields__):
        raise Invalid(f"object_store.api.constraints: there is no {', '.join(sorted(unknown))}")
    return limits


def rules_of(chosen: ObjectStore) -> Rules:
    """What the roles of identity's tokens may do."""
    return Rules(
        prefixes={
            with_bar(each.prefix): Roles(
                operator=lowered(each.operator_roles),
                reader=lowered(each.reader_roles),
                service=lowered(each.service_roles),
            )
            for each in chosen.prefixes
        },
        reseller_admin=chosen.reseller_admin_role.lower(),
        system_readers=lowered(chosen.system_reader_roles),
        default_domain=chosen.default_domain,
        names_in_acls=chosen.names_in_acls,
    )


def temp_auth_of(chosen: ObjectStore, secret: bytes, url: str = "") -> TempAuth:
    """The users of the settings, who are told `url` if there is one. Invalid for lines that are none."""
    own = chosen.temp_auth
    rules = TempRules(
        prefixes=tuple(with_bar(each) for each in own.prefixes),
        required={with_bar(each.prefix): each.group for each in own.required_groups},
    )
    users = temp_auth.users(own.users, rules)
    return TempAuth(rules, users, secret, path=own.path, life=own.token_life, scheme=own.storage_url_scheme, url=url)


def with_bar(prefix: str) -> str:
    """As accounts begin: an empty prefix has no bar behind it."""
    return f"{prefix}_" if prefix and not prefix.endswith("_") else prefix


def lowered(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(each.lower() for each in names)


def web_server(app: Application, host: str, port: int) -> uvicorn.Server:
    """The server; it believes no `X-Forwarded-For`."""
    config = uvicorn.Config(
        app, host=host, port=port, log_config=None, access_log=False, server_header=False, proxy_headers=False,
        http=ObjectProtocol, ws="none", lifespan="off",
        timeout_graceful_shutdown=PATIENCE, timeout_keep_alive=KEEP_ALIVE,
    )  # fmt: skip
    return uvicorn.Server(config)


def listeners_of(settings: Settings) -> list[socket.socket] | None:
    """The port that all workers share; None for one alone, which has its server open it. Raises OSError, Invalid."""
    if settings.object_store.workers == 1:
        return None
    host, port = settings.objects.host, settings.objects.port
    if not port:
        raise Invalid("several workers need a port: objects.port")
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    return [made]


def run(settings: Settings, worker: int = 0) -> None:
    """Serve in the foreground until a SIGTERM or SIGINT. Raises lock.Held where another process does."""
    log.setup(settings.log.level)
    os.umask(0o077)  # what users store is nobody else's on this machine
    settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    name = name_of(settings, worker)
    with lock.hold(settings.run / f"{name}.lock"):
        ended = Bell()
        ended.ring_at(signal.SIGTERM, signal.SIGINT)
        objects = Objects(settings, worker)
        try:
            objects.start(listeners_of(settings))
            objects.running.add_done_callback(lambda _: ended.ring())
            LOG.info("%s serves http://%s:%d", name, settings.objects.host, settings.objects.port)
            ended.wait()
        finally:
            objects.stop()
