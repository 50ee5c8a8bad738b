# SPDX-License-Identifier: Apache-2.0
"""Hosts for tests of the link: real agents' ends with toy verbs, and peers that speak raw bytes."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

from cumulet.kernel.db import Database
from cumulet.kernel.link import frames, ways
from cumulet.kernel.link.admission import Admission
from cumulet.kernel.link.agent import Uplink
from cumulet.kernel.link.controller import Hosts
from cumulet.kernel.link.dispatch import Dispatcher
from cumulet.kernel.link.frames import Frame
from cumulet.kernel.link.join import join
from cumulet.kernel.link.membership import Membership
from cumulet.kernel.link.registry import Registry
from cumulet.kernel.link.tls_door import TlsDoor
from cumulet.kernel.link.ways import UnixWay, Way
from cumulet.kernel.loop import Loop
from cumulet.kernel.vault import Vault

Body = dict[str, Any]


class Agent:
    """A host of the tests: an uplink with its verbs, by a socket's path or by other ways."""

    def __init__(
        self, loop: Loop, by: Path | Sequence[Way], verbs: dict[str, Any], host: str = "one", report: Any = None
    ) -> None:
        self.pool = ThreadPoolExecutor(32)
        hello = {"host": host, "capabilities": {"services": ["toy"]}, "version": "1"}
        self.uplink = Uplink(
            loop,
            [UnixWay(by)] if isinstance(by, Path) else by,
            hello=hello,
            dispatcher=Dispatcher(verbs.get, self.pool),
            report=report or (lambda: {"toy": {"things": [1]}}),
            pool=self.pool,
        )
        self.uplink.start()

    def stop(self) -> None:
        self.uplink.stop()
        self.pool.shutdown(wait=False)


class Wire:
    """A peer that speaks raw bytes, by a socket's path or, with a TLS context, at a port of this machine."""

    def __init__(self, to: Path | int, context: ssl.SSLContext | None = None, name: str | None = None) -> None:
        self.socket: socket.socket
        if isinstance(to, Path):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(10)
            self.socket.connect(str(to))
            return
        self.socket = socket.create_connection(("127.0.0.1", to), 10)
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_hostname=name)

    def send(self, **words: Any) -> None:
        self.socket.sendall(frames.encode(Frame(**words)))

    def hear(self) -> Frame | None:
        """The next frame; None at the stream's end."""
        length = self._take(4)
        return frames._decoder.decode(self._take(int.from_bytes(length, "big"))) if length else None

    def hear_kind(self, kind: str) -> Frame:
        while (frame := self.hear()) is not None:
            if frame.kind == kind:
                return frame
        raise AssertionError(f"the link ended before a {kind}")

    def join(self, host: str) -> Body:
        """Greet as a host of the release before and report; the answer to the hello."""
        self.send(kind="hello", body={"host": host, "frames": 1})
        hello = self.hear_kind("hello")
        self.send(kind="call", id=1, verb="link.report", body={})
        assert self.hear_kind("reply").id == 1
        assert isinstance(hello.body, dict)
        return hello.body

    def _take(self, count: int) -> bytes:
        taken = b""
        while len(taken) < count:
            more = self.socket.recv(count - len(taken))
            if not more:
                return b""
            taken += more
        return taken


class Replica:
    """One replica's end of the links: a socket in `folder` and, unless told otherwise, a TLS port of this machine."""

    def __init__(
        self, db: Database, folder: Path, name: str = "r1/control", *, tls: bool = True, silence: float = 10.0,
        lifetime: float = 3600.0, port: int = 0,
    ) -> None:  # fmt: skip
        self.loop = Loop()
        self.path = folder / f"{name.partition('/')[0]}.sock"
        self.registry = Registry(db, name)
        self.admission = Admission(db, Vault(db, folder / "master.key"), lifetime)
        self.door = TlsDoor(
            self.admission, name, host="127.0.0.1", port=port, address="127.0.0.1", silence=silence
        ) if tls else None  # fmt: skip
        self.hosts = Hosts(self.loop, self.path, self.registry, door=self.door, admission=self.admission)

    def start(self) -> Self:
        self.hosts.start()
        return self

    @property
    def port(self) -> int:
        assert self.door is not None
        return ways.parse(self.door.address)[1]

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self.hosts.stop()
        self.loop.close()

    def member(self, folder: Path, host: str = "one", urls: Sequence[str] = ()) -> Membership:
        """A host that has joined by a token of this replica."""
        membership = Membership(folder / host)
        join(self.admission.new_token(60), [self.url, *urls], host, membership)
        return membership
