# SPDX-License-Identifier: Apache-2.0
"""Badges: certificates by which processes of different hosts know each other that speak without the control plane.

A host's own certificate lets it call the control plane, and nobody call it. So a process that serves those of other
hosts (the object store's devices) asks over its link for a badge, good for both sides of TLS between such processes
and for nothing else. Beside it is kept which hosts there are: who was revoked, removed or has joined anew since
the badge was made is turned away a moment later. While the control plane is away, what it said last holds.

badge.pem       the private key and its certificate
authority.pem   the authority that has signed it
hosts.json      the hosts that there are, each with when it joined
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cumulet.kernel import clock, errors
from cumulet.kernel.link import certificates, ways
from cumulet.kernel.link.certificates import Holder
from cumulet.kernel.link.frames import FrameError
from cumulet.kernel.link.names import BADGE, BADGE_NAME
from cumulet.kernel.secrets import write_private

LOG = logging.getLogger(__name__)

PERIOD = 1.0  # seconds between two questions which hosts there are
RENEW_AT = 1 / 2  # of its time is left when a badge is made anew
OF_CONTROL = "control/"  # before the name of a machine of the control plane itself, which needs not join

_END_OF_KEY = "-----END PRIVATE KEY-----\n"

Body = dict[str, Any]


class Badges:
    """The badge of the host `host`, kept in `folder`; on one running event loop but for what reads files."""

    def __init__(self, folder: Path, host: str) -> None:
        self._folder = folder
        self._host = host
        self._server: ssl.SSLContext | None = None
        self._client: ssl.SSLContext | None = None
        self._holder: Holder | None = None
        self._hosts: Mapping[str, float] | None = None
        self._trouble = ""
        self._keeping: asyncio.Task[None] | None = None
        self.ready = asyncio.Event()

    def read(self) -> None:
        """Take what is kept. Raises FileNotFoundError where there is none yet, OSError, and ValueError for rubbish."""
        pem = (self._folder / "badge.pem").read_text(encoding="ascii")
        key, end, certificate = pem.partition(_END_OF_KEY)
        authority = (self._folder / "authority.pem").read_text(encoding="ascii")
        with contextlib.suppress(FileNotFoundError):
            hosts = (self._folder / "hosts.json").read_bytes()
            try:
                self._hosts = msgspec.json.decode(hosts, type=dict[str, float])
            except msgspec.DecodeError as error:
                raise ValueError(f"hosts.json: {error}") from None
        self._wear(key + end, certificate, authority)

    def start(self, call: Callable[[str, Body], Awaitable[Any]]) -> None:
        """Ask by `call` for what is not there, and for news, until `stop`."""
        self._keeping = asyncio.ensure_future(self._keep(call))

    async def stop(self) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeping

    @property
    def server(self) -> ssl.SSLContext:
        """For a listener; a badge made anew is shown by it too. NotReady before there is one."""
        if self._server is None:
            raise errors.NotReady("this host has no badge yet")
        return self._server

    def way(self, host: str, port: int, silence: float) -> BadgeWay:
        """How to reach such a process of another host, which has to show a badge that is good."""
        return BadgeWay(self, host, port, silence)

    def client(self) -> ssl.SSLContext:
        """For the next dial. NotReady before there is a badge."""
        if self._client is None:
            raise errors.NotReady("this host has no badge yet")
        return self._client

    def admit(self, shown: ssl.SSLObject) -> str:
        """The host of a verified certificate. Forbidden where that is no badge, or not good any more."""
        try:
            found = certificates.peer(shown)
        except ValueError as error:
            raise errors.Forbidden(str(error)) from None
        if found is None or found.role != "peer":
            raise errors.Forbidden("what was shown is no badge")
        if not self.is_good(found):
            raise errors.Forbidden(f"host {found.name} was revoked or removed, or has joined anew")
        return found.name

    def is_good(self, holder: Holder) -> bool:
        """Whether that is a badge, and still counts."""
        if holder.role != "peer":
            return False
        if holder.name.startswith(OF_CONTROL) or self._hosts is None:
            return True
        joined = self._hosts.get(holder.name)
        return joined is not None and holder.since + certificates.BACKDATE >= joined - 1.0  # whole seconds are told

    async def _keep(self, call: Callable[[str, Body], Awaitable[Any]]) -> None:
        while True:
            try:
                await self._ask(call)
                self._trouble = ""
            except (errors.CumuletError, OSError, ValueError) as error:
                if str(error) != self._trouble:
                    LOG.info("the badge of this host, and who may come, cannot be asked for now: %s", error)
                self._trouble = str(error)
            except Exception:
                LOG.exception("the badge of this host cannot be kept")
            await asyncio.sleep(PERIOD * random.uniform(0.75, 1.0))  # noqa: S311 - spreads the load

    async def _ask(self, call: Callable[[str, Body], Awaitable[Any]]) -> None:
        body, key = {}, ""
        if self._holder is None or self._is_due(self._holder):
            key = certificates.new_key()
            body = {"host": self._host, "request": certificates.request(key, self._host)}
        answer = msgspec.convert(await call(BADGE, body), _Answer)
        if answer.hosts != self._hosts:
            self._hosts = answer.hosts
            text = msgspec.json.encode(answer.hosts).decode()
            await asyncio.to_thread(write_private, self._folder / "hosts.json", text)
        if not key or not answer.certificate:
            return
        await asyncio.to_thread(write_private, self._folder / "authority.pem", answer.authority)
        await asyncio.to_thread(write_private, self._folder / "badge.pem", key + answer.certificate)
        self._wear(key, answer.certificate, answer.authority)
        LOG.info("this host has a badge")

    def _is_due(self, held: Holder) -> bool:
        return held.until - clock.now() < (held.until - held.since) * RENEW_AT

    def _wear(self, key: str, certificate: str, authority: str) -> None:
        held = certificates.holder(certificate)
        if self._server is None:
            self._server = certificates.server_context(authority, certificate, key)
            self._server.verify_mode = ssl.CERT_REQUIRED
        else:
            certificates.show(self._server, certificate, key)
        self._client = certificates.client_context(authority, certificate, key)
        self._holder = held
        self.ready.set()


class BadgeWay(ways.TlsWay):
    """To a process of another host."""

    def __init__(self, badges: Badges, host: str, port: int, silence: float) -> None:
        super().__init__(host, port, badges.client, silence=silence, server_name=BADGE_NAME)
        self._badges = badges

    async def open(self) -> ways.Stream:
        try:
            reader, writer = await super().open()
        except errors.NotReady as error:
            raise FrameError(str(error)) from None
        try:
            self._badges.admit(writer.get_extra_info("ssl_object"))
        except errors.Forbidden as error:
            writer.transport.abort()
            raise FrameError(f"{self.name}: {error}") from None
        return reader, writer


class _Answer(msgspec.Struct):
    hosts: dict[str, float]
    certificate: str = ""
    authority: str = ""
