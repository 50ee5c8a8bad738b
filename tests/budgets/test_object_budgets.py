# SPDX-License-Identifier: Apache-2.0
"""What requests to the object store may cost its process, with three durable replicas; twice what they do, and more.

Real Swift beside it: `docs/object-store-beside-swift.md`.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from bench import object_cells as cells
from bench import transfers
from bench.object_load import Line, burst
from bench.object_servers import Cumulet

from budgets.machine import slowness

SMALL, LARGE, HUGE = 1 << 10, 16 << 20, 128 << 20
TRIES = 3
MS = {("PUT", SMALL): 5.0, ("GET", SMALL): 1.0, ("PUT", LARGE): 120.0, ("GET", LARGE): 20.0}  # of CPU for a request
MEMORY = 48 << 20  # bytes more, while two bodies of 128 MiB come in or go out at once


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cumulet]:
    folder = tmp_path_factory.mktemp("budget") / "store"
    try:
        with Cumulet(folder, 3) as made:
            made.make_container(cells.CONTAINER)
            yield made
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize(("size", "count"), [(SMALL, 300), (LARGE, 12)], ids=["small", "large"])
def test_a_request_costs_little(server: Cumulet, size: int, count: int) -> None:
    objects = cells.Objects(server, size)
    objects.turn(4, 30.0, 8)  # what comes first makes threads and connections to files
    for _ in range(TRIES):
        found = {verb: 1000 * each.cpu / each.count for verb, each in objects.turn(4, 60.0, count).items()}
        slow = slowness()
        over = {verb: ms for verb, ms in found.items() if ms / slow > MS[verb, size]}
        if not over:
            return
    pytest.fail(f"ms of CPU for a request: {over}, {slow:.1f} times as slow as usual")


def test_memory_does_not_grow_with_bodies(server: Cumulet) -> None:
    body, path = bytes(1 << 20), f"{server.base}/{cells.CONTAINER}/huge"

    def up(line: Line, number: int) -> None:
        assert line.ask("PUT", f"{path}-{number}", server.headers, body, times=HUGE >> 20).status == 201

    def down(line: Line, number: int) -> None:
        assert line.ask("GET", f"{path}-{number}", server.headers).size == HUGE

    for work in (up, down):
        with transfers.spending(server.top) as cost:
            assert not burst(server.port, work, 2, 60.0, 2).failed
        assert cost.memory < MEMORY
