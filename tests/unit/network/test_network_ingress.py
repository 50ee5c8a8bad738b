# SPDX-License-Identifier: Apache-2.0
"""Ports of the machine's that lead to floating IPs: what comes in goes there, until it is taken back."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.kernel.link.host import Journal
from cumulet.kernel.loop import Loop
from cumulet.services.network.agent import ingress
from cumulet.services.network.agent.ingress import Ingress

HOME = "127.0.0.1"


class Shouter:
    """A server that reads until the other end has no more to say, then says it louder."""

    def __init__(self) -> None:
        self._listener = socket.create_server((HOME, 0))
        self.address = f"{HOME}:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                there, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(there,), daemon=True).start()

    def _answer(self, there: socket.socket) -> None:
        with there:
            heard = b"".join(iter(lambda: there.recv(1 << 16), b""))
            there.sendall(heard.upper())

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def loop() -> Iterator[Loop]:
    found = Loop()
    yield found
    found.close()


@pytest.fixture
def shouter() -> Iterator[Shouter]:
    found = Shouter()
    yield found
    found.close()


@pytest.fixture
def table(loop: Loop, tmp_path: Path) -> Iterator[Ingress]:
    found = opened(loop, tmp_path)
    yield found
    found.stop()


def opened(loop: Loop, folder: Path) -> Ingress:
    found = Ingress(loop, Journal(folder / "ingress"), ingress.outlet(folder))
    found.start()
    return found


def free() -> str:
    with socket.create_server((HOME, 0)) as listener:
        return f"{HOME}:{listener.getsockname()[1]}"


def asked(address: str, words: bytes) -> bytes:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as asking:
        asking.sendall(words)
        asking.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: asking.recv(1 << 16), b""))


def refuses(address: str) -> bool:
    try:
        asked(address, b"")
    except ConnectionRefusedError:
        return True
    return False


def test_what_comes_in_goes_there_and_the_answer_comes_back(table: Ingress, shouter: Shouter) -> None:
    way = free()
    listed = table.verbs["ingress.add"]({"listen": way, "to": shouter.address})
    assert listed == {"passages": [{"listen": way, "to": shouter.address, "problem": ""}]}
    assert asked(way, b"hello") == b"HELLO"
    much = b"a" * 3_000_000
    assert asked(way, much) == much.upper()


def test_the_table_outlives_the_agent(table: Ingress, shouter: Shouter, loop: Loop, tmp_path: Path) -> None:
    way = free()
    table.verbs["ingress.add"]({"listen": way, "to": shouter.address})
    table.stop()
    assert refuses(way)
    again = opened(loop, tmp_path)
    assert asked(way, b"hello") == b"HELLO"
    again.verbs["ingress.remove"]({"listen": way})
    assert refuses(way)
    assert again.listed() == []
    again.stop()


def test_a_port_that_others_took_meanwhile_is_told(
    table: Ingress, shouter: Shouter, loop: Loop, tmp_path: Path
) -> None:
    way = free()
    table.verbs["ingress.add"]({"listen": way, "to": shouter.address})
    table.stop()
    host, _, port = way.rpartition(":")
    with socket.create_server((host, int(port))):
        again = opened(loop, tmp_path)
        assert again.listed() == [{"listen": way, "to": shouter.address, "problem": "Address already in use"}]
        again.stop()


def test_ports_in_use_and_in_the_table_are_refused(table: Ingress, shouter: Shouter) -> None:
    with pytest.raises(Conflict, match="cannot be listened on"):
        table.verbs["ingress.add"]({"listen": shouter.address, "to": shouter.address})
    way = free()
    table.verbs["ingress.add"]({"listen": way, "to": shouter.address})
    with pytest.raises(Conflict, match="leads somewhere already"):
        table.verbs["ingress.add"]({"listen": way, "to": shouter.address})
    assert len(table.listed()) == 1


@pytest.mark.parametrize("text", ["", "here:22", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "[::1]:22", None])
def test_addresses_have_a_port(table: Ingress, text: str | None) -> None:
    for words in ({"listen": text, "to": "172.24.4.21:22"}, {"listen": free(), "to": text}):
        with pytest.raises(Invalid):
            table.verbs["ingress.add"](words)
    assert table.listed() == []


def test_what_is_not_in_the_table_is_not_taken_back(table: Ingress) -> None:
    with pytest.raises(NotFound):
        table.verbs["ingress.remove"]({"listen": free()})


def test_nobody_there_ends_the_connection_and_nothing_else(table: Ingress, shouter: Shouter) -> None:
    to_nobody, way = free(), free()
    table.verbs["ingress.add"]({"listen": to_nobody, "to": free()})
    table.verbs["ingress.add"]({"listen": way, "to": shouter.address})
    assert asked(to_nobody, b"") == b""
    assert asked(way, b"hello") == b"HELLO"


def test_one_too_many_is_hung_up(table: Ingress, shouter: Shouter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingress, "MOST", 1)
    way = free()
    table.verbs["ingress.add"]({"listen": way, "to": shouter.address})
    host, _, port = way.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as first:
        first.sendall(b"hello")
        with socket.create_connection((host, int(port)), timeout=10) as second:
            assert second.recv(1) == b""
        first.shutdown(socket.SHUT_WR)
        assert first.recv(10) == b"HELLO"
