# SPDX-License-Identifier: Apache-2.0
"""A whole cloud inside the test process: control plane and data process on real ports, a real agent, fake drivers."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
import uvicorn
from sqlalchemy import select

import cumulet.app
from cumulet import settings as settings_module
from cumulet.agent import Agent
from cumulet.app import App
from cumulet.kernel.db import sql, tables
from cumulet.kernel.manifest import read_all
from cumulet.kernel.secrets import Secrets
from cumulet.objects import Objects

PATIENCE = 20.0  # seconds that any part may take to start
FAKES = {"compute.driver": "fake", "network.driver": "fake", "block_storage.driver": "fake"}
# Tests are web servers on this machine, at whatever port is free.
IMPORTS = {
    "image_import.methods": "glance-direct,web-download,copy-image,glance-download",
    "image_import.allowed_hosts": "127.0.0.1",
    "image_import.allowed_ports": "",
}


class RunningCloud:
    """A cloud in the folder `state`, with all services or only those in `packages`; its database may be elsewhere.

    `settings` are more of its settings, by dotted names.
    """

    def __init__(
        self,
        state: Path,
        packages: Collection[str] = (),
        database_url: str = "",
        settings: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._closing = ExitStack()
        self._packages = set(packages)
        control, data, self._objects_socket = self._listen(), self._listen(), self._listen()
        self._objects: Objects | None = None
        self.settings = settings_module.load(
            environ={},
            overrides={
                "state": str(state),
                "cache": str(state / "cache"),
                "host": "host-1",
                "control.port": str(control.getsockname()[1]),
                "data.port": str(data.getsockname()[1]),
                "objects.port": str(self._objects_socket.getsockname()[1]),
                "identity.bcrypt_rounds": "4",
                "database.url": database_url,
                **FAKES,
                **IMPORTS,
                **settings,
            },
        )
        with self._closing:
            self.control = self._serve("control", control)
            self.data = self._serve("data", data)
            self._join()
            self._closing = self._closing.pop_all()

    @property
    def control_url(self) -> str:
        return self.settings.control_url

    @property
    def data_url(self) -> str:
        return self.settings.data_url

    def objects_url(self) -> str:
        """Where the object store is, which is opened when it is first asked for."""
        if self._objects is None:
            self._objects = Objects(self.settings)
            self._closing.callback(self._objects.stop)
            self._objects.start([self._objects_socket])
        return self.settings.objects_url

    @property
    def admin_password(self) -> str:
        secret = Secrets(self.settings.state).get("admin_password")
        assert secret is not None
        return secret

    def unfinished(self) -> list[str]:
        """The sagas that have not ended, in words."""
        saga = tables.saga.c
        query = select(saga.id, saga.flow, saga.step, saga.status, saga.attempts, saga.owner, saga.error)
        found = sql.tuples(self.control.cloud.db, query.where(saga.finished_at.is_(None)).order_by(saga.id))
        return [" ".join(map(str, row)) for row in found]

    def close(self) -> None:
        self._closing.close()

    @contextmanager
    def one_more_host(self, name: str, folder: Path) -> Iterator[Agent]:
        """A host with its files in `folder` that leaves in the end."""
        agent = Agent(msgspec.structs.replace(self.settings, state=folder, host=name))
        agent.start()
        try:
            _await(f"{name} to join", lambda: name in [each.name for each in self.control.hosts.connected()])
            yield agent
        finally:
            agent.stop()

    def _listen(self) -> socket.socket:
        listener = self._closing.enter_context(socket.socket(proto=socket.IPPROTO_TCP))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        return listener

    def _make(self, role: Any) -> App:
        """The application, with the services that were asked for; other clouds of this process have theirs."""
        with pytest.MonkeyPatch.context() as patch:
            if self._packages:
                patch.setattr(
                    cumulet.app,
                    "read_all",
                    lambda path: [one for one in read_all(path) if one.package in self._packages],
                )
            return App(self.settings, role)

    def _serve(self, role: Any, listener: socket.socket) -> App:
        app = self._make(role)
        self._closing.callback(app.stop)
        app.start()
        server = cumulet.app.web_server(app, *listener.getsockname(), patience=1)
        running = app.loop.start(server.serve([listener]))
        self._closing.callback(_end, server, running)
        _await(f"{role} to serve", lambda: server.started or running.done())
        return app

    def _join(self) -> None:
        if any(service.agent for service in self.control.services):
            agent = self.agent = Agent(self.settings)
            agent.start()
            self._closing.callback(agent.stop)
            _await("the agent to join", lambda: bool(self.control.hosts.connected()))


def _end(server: uvicorn.Server, running: Future[Any]) -> None:
    server.should_exit = True
    running.result(PATIENCE)


def _await(what: str, there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not there():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited too long for {what}")
        time.sleep(0.01)
