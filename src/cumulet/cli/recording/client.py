# SPDX-License-Identifier: Apache-2.0
"""Requests to one OpenStack cloud: logging in, the catalogue's endpoints, answers as they are (redirects too)."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import yaml

from cumulet.cli.recording.scenario import dig

TYPES = {
    "identity": ("identity",),
    "image": ("image",),
    "placement": ("placement",),
    "network": ("network",),
    "block_storage": ("block-storage", "volumev3", "block-store", "volume"),
    "compute": ("compute",),
    "key_manager": ("key-manager",),
}
BASES = {
    "identity": "/v3",
    "image": "/v2",
    "placement": "",
    "network": "/v2.0",
    "block_storage": "/v3",
    "compute": "/v2.1",
    "key_manager": "/v1",
}
HEADERS = {"compute": "compute", "placement": "placement", "block_storage": "volume", "key_manager": "key-manager"}


class _Whole(http.client.HTTPConnection):
    """Sends a request in one piece: a server that refuses by the headers alone may close before a later piece comes."""

    _pieces: bytes = b""

    def send(self, data: Any) -> None:
        self._pieces += data

    def getresponse(self) -> http.client.HTTPResponse:
        super().send(self._pieces)
        return super().getresponse()


class _WholeSecure(_Whole, http.client.HTTPSConnection):
    """The same over TLS."""


class NotThere(Exception):
    """The cloud cannot be used; the message says why."""


@dataclass(frozen=True)
class Login:
    """Where a cloud is and who asks: an administrator, by password, of the project `project`."""

    url: str
    user: str
    password: str
    project: str
    user_domain: str = "Default"
    project_domain: str = "Default"
    region: str | None = None


@dataclass(frozen=True)
class Answer:
    """One answer: header names in small letters; `body` is parsed JSON, else text."""

    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Cloud:
    """One cloud; `roots` are its services' URLs without version or project, named as in TYPES; `names` its hosts."""

    login: Login
    timeout: float = 120.0
    roots: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    admin_token: str = ""
    admin_project: str = ""

    def enter(self) -> None:
        """Log in and read the catalogue. Raises NotThere."""
        words = {"name": self.login.project, "domain": {"name": self.login.project_domain}}
        user = {"name": self.login.user, "domain": {"name": self.login.user_domain}, "password": self.login.password}
        self.roots["identity"] = self.login.url.rstrip("/").removesuffix("/v3")
        self.admin_token, token = self.authenticate(user, {"project": words})
        self.admin_project = token["project"]["id"]
        for service, types in TYPES.items():
            url = _endpoint(token.get("catalog", []), types, self.login.region)
            if url is not None:
                self.roots[service] = _root(url, service)
        if "compute" in self.roots:
            self.names["host"] = self._first("compute", "/os-services?binary=nova-compute", "services.0.host")
            self.names["node"] = self._first("compute", "/os-hypervisors", "hypervisors.0.hypervisor_hostname")
        if "block_storage" in self.roots:
            self.names["pool"] = self._first("block_storage", "/scheduler-stats/get_pools", "pools.0.name")
            self.names["backend"] = self.names["pool"].partition("#")[0]

    def _first(self, service: str, path: str, place: str) -> str:
        """A name that only this cloud knows. Raises NotThere."""
        url = self.url(service, path, self.admin_project)
        answer = self.send("GET", url, {"X-Auth-Token": self.admin_token}, None)
        try:
            return str(dig(answer.body, place))
        except KeyError as error:
            raise NotThere(f"{url} has no {place}: {answer.status} {answer.body}") from error

    def authenticate(self, user: dict[str, Any], scope: Any) -> tuple[str, dict[str, Any]]:
        """A new token by password, and what the answer says of it. Raises NotThere."""
        identity = {"methods": ["password"], "password": {"user": user}}
        auth = {"identity": identity} if scope is None else {"identity": identity, "scope": scope}
        answer = self.send("POST", self.roots["identity"] + "/v3/auth/tokens", {}, orjson.dumps({"auth": auth}))
        if answer.status != 201:
            raise NotThere(f"logging in as {user.get('name', user.get('id'))}: {answer.status} {answer.body}")
        return answer.headers["x-subject-token"], answer.body["token"]

    def manage(self, method: str, path: str, body: Any = None) -> Any:
        """A request to identity as the administrator; the parsed answer. Raises NotThere unless it succeeds."""
        data = None if body is None else orjson.dumps(body)
        answer = self.send(method, f"{self.roots['identity']}/v3{path}", {"X-Auth-Token": self.admin_token}, data)
        if answer.status >= 300:
            raise NotThere(f"{method} {path}: {answer.status} {answer.body}")
        return answer.body

    def url(self, service: str, path: str, project_id: str | None) -> str:
        """Where `path` of `service` is; `//path` leaves the version out. Raises NotThere."""
        if service not in self.roots:
            raise NotThere(f"the cloud has no {service}")
        if path.startswith("//"):
            return self.roots[service] + path[1:]
        inner = f"/{project_id}" if service == "block_storage" and project_id else ""
        return self.roots[service] + BASES[service] + inner + path

    def send(self, method: str, url: str, headers: dict[str, str], data: bytes | None) -> Answer:
        """One request on a connection of its own. Raises NotThere where there is no answer."""
        parts = urlsplit(url)
        kind = _WholeSecure if parts.scheme == "https" else _Whole
        words = {"Accept": "application/json", **headers}
        if data is not None and not any(name.lower() == "content-type" for name in words):
            words["Content-Type"] = "application/json"
        connection = kind(parts.netloc, timeout=self.timeout)
        try:
            path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request(method, path, body=data, headers=words)
            answer = connection.getresponse()
            content = answer.read()
            # Repeated headers (Vary) are one list, as HTTP has it.
            found: dict[str, str] = {}
            for name, value in answer.getheaders():
                name = name.lower()
                found[name] = f"{found[name]}, {value}" if name in found else value
            return Answer(answer.status, found, _parsed(content, found.get("content-type", "")))
        except (OSError, http.client.HTTPException) as error:
            raise NotThere(f"{method} {url}: {error!r}") from error
        finally:
            connection.close()


def read_login(path: Path, name: str | None) -> Login:
    """A cloud of a `clouds.yaml`, the first one unless named. Raises NotThere."""
    try:
        clouds = yaml.safe_load(path.read_text(encoding="utf-8"))["clouds"]
        cloud = clouds[name if name is not None else next(iter(clouds))]
        auth = cloud["auth"]
        domains = (auth.get("user_domain_name", "Default"), auth.get("project_domain_name", "Default"))
        words = (auth["auth_url"], auth["username"], auth["password"], auth["project_name"])
        return Login(*words, *domains, cloud.get("region_name"))
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise NotThere(f"{path}: no cloud with a login by password: {error!r}") from error


def _endpoint(catalogue: list[dict[str, Any]], types: tuple[str, ...], region: str | None) -> str | None:
    for service in catalogue:
        for endpoint in service["endpoints"] if service["type"] in types else ():
            if endpoint["interface"] == "public" and region in (None, endpoint.get("region_id")):
                return str(endpoint["url"]).rstrip("/")
    return None


def _root(url: str, service: str) -> str:
    """An endpoint without the version, and without the project behind it."""
    base = BASES[service]
    cut = url.find(f"{base}/") if base else -1
    return url[:cut] if cut > 0 else url.removesuffix(base) if base else url


def _parsed(content: bytes, kind: str) -> Any:
    if "json" in kind and content:
        try:
            return json.loads(content)
        except ValueError:
            pass
    return content.decode("utf-8", "replace")
