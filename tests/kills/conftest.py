# SPDX-License-Identifier: Apache-2.0
"""A killable cloud for each module of tests, and its user; after a test that failed there is a new one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from kills.world import World
from support import postgres
from support.killable import KillableCloud


class Keeper:
    """The world in use; `spoilt` until a test has ended well."""

    def __init__(self, make: Callable[[], KillableCloud]) -> None:
        self._make = make
        self._world: World | None = None
        self.spoilt = False

    def world(self) -> World:
        if self.spoilt:
            self.end()
        if self._world is None:
            cloud = self._make()
            try:
                cloud.start()
                self._world = World(cloud)
            except BaseException:
                cloud.stop()
                raise
        return self._world

    def end(self) -> None:
        if self._world is not None:
            self._world.cloud.stop()
            self._world = None
        self.spoilt = False


@pytest.fixture(scope="module")
def keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    keeper = Keeper(lambda: KillableCloud(tmp_path_factory.mktemp("cloud")))
    yield keeper
    keeper.end()


@pytest.fixture(scope="module")
def scaled_keeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    server = postgres.Server()
    keeper = Keeper(lambda: KillableCloud(tmp_path_factory.mktemp("cloud"), server.new(), replicas=2, hosts=2))
    yield keeper
    keeper.end()
    server.close()


@pytest.fixture
def world(request: pytest.FixtureRequest, keeper: Keeper) -> Iterator[World]:
    """The user of an embedded cloud."""
    yield from _use(request, keeper)


@pytest.fixture
def scaled_world(request: pytest.FixtureRequest, scaled_keeper: Keeper) -> Iterator[World]:
    """The user of a cloud of two replicas and two hosts."""
    yield from _use(request, scaled_keeper)


def _use(request: pytest.FixtureRequest, keeper: Keeper) -> Iterator[World]:
    world = keeper.world()
    failed = request.session.testsfailed
    keeper.spoilt = True
    yield world
    keeper.spoilt = request.session.testsfailed != failed
