# SPDX-License-Identifier: Apache-2.0
"""Scenarios that change nothing: logging in, looking at one thing, listing many."""

from __future__ import annotations

import itertools
from typing import ClassVar

import orjson

from bench.client import Refused
from bench.scenarios.base import Scenario, Watch
from bench.stock import PREFIX

CREDENTIAL = PREFIX + "credential"
MANY = 100  # servers, and resource providers, in the lists of many
LIMIT = 1000  # candidates that an answer tells of at the most: what compute asks for


class TokenIssue(Scenario):
    """Log in with a password, scoped to a project."""

    name = "token-issue"
    needs = ("identity",)

    async def operate(self, watch: Watch) -> None:
        await self.client.send("POST", "identity", "/auth/tokens", self.client.login.request)


class TokenByToken(Scenario):
    """Take a token for another one, scoped to a project."""

    name = "token-by-token"
    needs = ("identity",)

    async def operate(self, watch: Watch) -> None:
        identity = {"methods": ["token"], "token": {"id": self.client.token}}
        words = {"auth": {"identity": identity, "scope": {"project": {"id": self.client.project_id}}}}
        await self.client.send("POST", "identity", "/auth/tokens", words)


class TokenByCredential(Scenario):
    """Log in with an application credential."""

    name = "token-by-credential"
    needs = ("identity",)

    async def prepare(self, count: int) -> None:
        await self.tidy()
        made = await self.client.ask("POST", "identity", self._path, {"application_credential": {"name": CREDENTIAL}})
        self._credential = {name: made["application_credential"][name] for name in ("id", "secret")}

    async def operate(self, watch: Watch) -> None:
        identity = {"methods": ["application_credential"], "application_credential": self._credential}
        await self.client.send("POST", "identity", "/auth/tokens", {"auth": {"identity": identity}})

    async def tidy(self) -> None:
        listed = await self.client.ask("GET", "identity", f"{self._path}?name={CREDENTIAL}")
        for credential in listed["application_credentials"]:
            await self.client.send("DELETE", "identity", f"{self._path}/{credential['id']}")

    @property
    def _path(self) -> str:
        return f"/users/{self.client.user_id}/application_credentials"


class TokenValidate(Scenario):
    """Ask what a token stands for, with the catalogue."""

    name = "token-validate"
    needs = ("identity",)

    async def operate(self, watch: Watch) -> None:
        subject = {"X-Subject-Token": self.client.token}
        await self.client.send("GET", "identity", "/auth/tokens", headers=subject)


class ImageList(Scenario):
    """List images."""

    name = "image-list"
    needs = ("image",)

    async def prepare(self, count: int) -> None:
        await self.stock.image()

    async def operate(self, watch: Watch) -> None:
        await self.client.send("GET", "image", "/images")


class FlavorList(Scenario):
    """List flavors with details."""

    name = "flavor-list"
    needs = ("compute",)

    async def prepare(self, count: int) -> None:
        await self.stock.flavor()

    async def operate(self, watch: Watch) -> None:
        await self.client.send("GET", "compute", "/flavors/detail")


class NetworkList(Scenario):
    """List networks."""

    name = "network-list"
    needs = ("network",)

    async def prepare(self, count: int) -> None:
        await self.stock.network()

    async def operate(self, watch: Watch) -> None:
        await self.client.send("GET", "network", "/networks")


class ServerList(Scenario):
    """List 100 servers with details."""

    name = "server-list"
    needs = ("compute", "image", "network", "placement")
    path = "/servers/detail"

    async def prepare(self, count: int) -> None:
        await self.stock.fleet(MANY)
        listed = len((await self.client.ask("GET", "compute", self.path))["servers"])
        if listed < MANY:
            raise Refused(0, f"only {listed} servers are listed")

    async def operate(self, watch: Watch) -> None:
        await self.client.send("GET", "compute", self.path)


class PortList(Scenario):
    """List ports, those of 100 servers among them."""

    name = "port-list"
    needs = ServerList.needs

    async def prepare(self, count: int) -> None:
        await self.stock.fleet(MANY)

    async def operate(self, watch: Watch) -> None:
        await self.client.send("GET", "network", "/ports")


class ServerListBrief(ServerList):
    """List 100 servers, names and ids alone."""

    name = "server-list-brief"
    path = "/servers"


class ServerShow(Scenario):
    """Show one of 100 servers, each in its turn."""

    name = "server-show"
    needs = ServerList.needs

    async def prepare(self, count: int) -> None:
        self._servers = itertools.cycle(await self.stock.fleet(MANY))

    async def operate(self, watch: Watch) -> None:
        await self.client.send("GET", "compute", f"/servers/{next(self._servers)}")


class Candidates(Scenario):
    """Ask placement which of 100 providers have room for three resources; all have."""

    name = "candidates-100"
    needs = ("placement",)
    providers: ClassVar[int] = MANY

    async def prepare(self, count: int) -> None:
        self._path = f"/allocation_candidates?limit={LIMIT}&{await self.stock.providers(self.providers)}"
        found = orjson.loads(await self.client.send("GET", "placement", self._path))["allocation_requests"]
        if len(found) != min(self.providers, LIMIT):
            raise Refused(0, f"{len(found)} candidates, not {min(self.providers, LIMIT)}")

    async def operate(self, watch: Watch) -> None:
        await self.client.send("GET", "placement", self._path)


class CandidatesOf1000(Candidates):
    """The same among 1,000 providers, of which all are told."""

    name = "candidates-1000"
    providers = 1000
    usual = False


class CandidatesOf10000(Candidates):
    """The same among 10,000 providers, of which the 1,000 are told that the request limits the answer to."""

    name = "candidates-10000"
    providers = 10_000
    usual = False


class CandidatesOf100000(Candidates):
    """The same among 100,000 providers, of which 1,000 are told."""

    name = "candidates-100000"
    providers = 100_000
    usual = False


class LastCandidate(CandidatesOf100000):
    """Ask for more than any but the last of 100,000 providers has: all have to be looked at, one is told."""

    name = "candidates-last-of-100000"

    async def prepare(self, count: int) -> None:
        await super().prepare(count)
        self._path = f"/allocation_candidates?limit={LIMIT}&{await self.stock.last_provider()}"

    async def operate(self, watch: Watch) -> None:
        found = orjson.loads(await self.client.send("GET", "placement", self._path))["allocation_requests"]
        if len(found) != 1:
            raise Refused(0, f"{len(found)} candidates, not 1")
