# SPDX-License-Identifier: Apache-2.0
"""A part of the kill matrix on real QEMU, fabric and files: the same scenarios, the same demands."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from pathlib import Path

import httpx
import pytest

from cumulet.kernel.db import Database
from cumulet.kernel.secrets import Secrets
from cumulet.settings import FILE_NAME
from kills import matrix
from kills.world import World
from support import kill_wishes
from support.invariants import host_leftovers, violations
from support.real_cloud import RealCloud

pytestmark = [pytest.mark.guest, pytest.mark.root, pytest.mark.timeout(600)]

# The default suite takes some, always the same; KILLS=all takes every place.
HOW_MANY = 6
# Servers here have nothing to boot: no guest lets go of a device (test_kills.py has one that does).
# Images are files wherever the matrix is run: nothing of theirs would be any more real here.
FORWARD = ("before", "inside", "after")
EVERY = [
    place
    for place in matrix.CONTROL
    if ".detach_" not in place and not place.startswith("image.") and place.partition(":")[2] in FORWARD
]
PLACES = EVERY if os.environ.get("KILLS") == "all" else random.Random(7).sample(EVERY, HOW_MANY)
# Volumes move from one to the other.
BACKENDS = """
[[block_storage.backends]]
driver = "file"
name = "file"

[[block_storage.backends]]
driver = "file"
name = "other"
"""
VERBS = ("compute.boot", ["server.build:inside"]), ("compute.delete", ["server.destroy:inside"])


class Probed(RealCloud):
    """A real cloud as the matrix wants to see it."""

    def __init__(self, state: Path) -> None:
        state.mkdir(mode=0o700)
        (state / FILE_NAME).write_text(BACKENDS)
        super().__init__(state)
        self.use({"compute.stop_timeout": "1"})  # nobody in these servers hears the power button
        self.controls = [self.settings]
        self.hosts = [self.settings.host]
        self._database: Database | None = None

    @property
    def db(self) -> Database:
        if self._database is None:
            self._database = Database.open(self.settings)
        return self._database

    @property
    def admin_password(self) -> str:
        secret = Secrets(self.settings.state).get("admin_password")
        assert secret is not None
        return secret

    def answers(self, url: str, page: str = "/healthz") -> bool:
        try:
            return bool(httpx.get(f"{url}{page}", timeout=5).status_code == 200)
        except httpx.HTTPError:
            return False

    def is_ready(self) -> bool:
        return self.answers(self.settings.control_url, "/readyz")

    def wish(self, *wishes: str) -> None:
        kill_wishes.wish(self.faults, *wishes)

    def ungranted(self) -> list[str]:
        return kill_wishes.ungranted(self.faults)

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
        self.command("down")


@pytest.fixture(scope="module")
def world():
    folder = Path(tempfile.mkdtemp(prefix="cml-"))
    running = Probed(folder / "s")
    try:
        running.command("up", "--no-seed")
        yield World(running)
    finally:
        running.close()
    assert host_leftovers(running) == []
    shutil.rmtree(folder)


@pytest.mark.parametrize("place", PLACES)
def test_a_kill_of_the_control_plane(world, place):
    assert matrix.run(world, matrix.flow_of(place), matrix.wishes(place)) == [], world.cloud.last_words()
    assert violations(world.cloud) == []


@pytest.mark.parametrize(("flow", "places"), VERBS, ids=lambda each: each if isinstance(each, str) else each[0])
def test_a_kill_of_the_host_part(world, flow, places):
    assert matrix.run(world, flow, places) == [], world.cloud.last_words()
    assert violations(world.cloud) == []
