# SPDX-License-Identifier: Apache-2.0
"""The benchmark of object stores: what its page says of what was measured, and how its client reads answers."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from bench import object_cells as cells
from bench.object_cells import Cell, Sample
from bench.object_load import Line, Refused, burst
from bench.object_page import Told, page
from bench.processes import Memory

KINDS = {"cumulet3": 2.0, "swift3": 24.0, "cumulet1": 1.0, "swift1": 8.0, "nginx": 0.1}


def told(kinds: dict[str, float] = KINDS) -> Told:
    """CPU seconds of 1,000 requests by server."""
    found = Told("A heading.", {kind: Memory(1, 50.0) for kind in kinds}, md5=1.28)
    found.busy = dict(found.idle)
    for kind, cpu in kinds.items():
        for verb in ("PUT", "GET"):
            for size in (1 << 10, 16 << 20):
                found.bursts[verb, size, 8, kind] = Cell([Sample(cpu / 10, 100, 2.0, 1.0, 9.0)])
            found.streams[verb, kind] = Cell([Sample(1.0, 1, 2.0, size=1 << 30)])
        found.listings["all", kind] = Cell([Sample(cpu, 1, 1.0)])
    return found


def test_a_page_tells_costs_ratios_and_what_nothing_can_be_cheaper_than() -> None:
    lines = list(page(told()))
    assert "| 1 KiB | 8 | 2.00 | 24.0 | 12.0 | 1.00 | 8.00 | 8.0 | 0.10 |" in lines
    assert "| PUT 1 KiB | 10 | 12.0 to 12.0 | 8.0 to 8.0 |" in lines
    assert "20.0 ms of 16 MiB" in next(line for line in lines if line.startswith("MD5"))
    assert not [line for line in lines if len({line.count("|")}) > 1]


def test_a_page_of_some_servers_tells_those() -> None:
    lines = list(page(told({"cumulet3": 2.0, "nginx": 0.1})))
    assert "| 1 KiB | 8 | 2.00 | 0.10 |" in lines


@pytest.mark.parametrize(("words", "found"), [("1K,16M", [1024, 16 << 20]), ("5,1G", [5, 1 << 30])])
def test_sizes_are_read(words: str, found: list[int]) -> None:
    assert cells.sizes(words) == found


@pytest.fixture
def port() -> Iterator[int]:
    """A server that answers each request of a connection with what its path says."""
    answers = {
        b"/whole": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"/none": b"HTTP/1.1 204 No Content\r\n\r\n",
    }
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            line, _ = listener.accept()
            with line, line.makefile("rb") as asked:
                while head := asked.readline():
                    while asked.readline() != b"\r\n":
                        pass
                    line.sendall(answers.get(head.split()[1], b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(30)


def test_a_burst_counts_what_was_answered_and_tells_what_failed(port: int) -> None:
    def work(line: Line, number: int) -> None:
        path = ("/whole", "/none", "/broken")[number]
        answer = line.ask("GET", path, {}, keep=True)
        if answer.status == 500:
            raise Refused("it broke")
        assert answer.body == (b"hello" if path == "/whole" else b"")

    done = burst(port, work, 1, 30.0, 10)
    assert len(done.each) == 2
    assert done.failed == ["Refused: it broke"]
