# SPDX-License-Identifier: Apache-2.0
"""The stage: how personas ask, and the things that paths name, made when first needed and again when used up."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import httpx

from cumulet.kernel.http.microversions import text
from cumulet.kernel.http.routes import Api, Route
from personas.cast import Cast, Casting, Persona
from support.cloud import RunningCloud

# The values of a path's parameters by name. Under `target`: what rules may know of the thing; without it rules are
# judged on something of the caller's own. Under `hidden_but_from`: the projects whose members may learn that it is
# there.
Prop = dict[str, Any]
Maker = Callable[["Stage"], Prop]

PATIENCE = 30.0  # seconds that a thing may take to be made
ON_DATA = frozenset({"image"})
PARAMETER = re.compile(r"{(\w+)}")


_NAMED = {
    "network": "/networks/{id}",
    "group": "/security-groups/{id}",
    "external": "external network",
    "loose_port": "loose port",
    "meter": "meter",
}
# Nothing is to be refused for want of quota: a refusal is told by the same status.
UNLIMITED: tuple[tuple[str, str, dict[str, tuple[str, ...]]], ...] = (
    (
        "network",
        "/quotas/{}",
        {"quota": ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule")},
    ),
    ("compute", "/os-quota-sets/{}", {"quota_set": ("instances", "cores", "ram", "server_groups")}),
    (
        "block_storage",
        "/os-quota-sets/{}",
        {"quota_set": ("volumes", "snapshots", "gigabytes", "groups", "backups", "backup_gigabytes")},
    ),
)


class NoSuchProp(LookupError):
    """A path names something that nobody has told the suite how to make."""


class Stage:
    """One running cloud with its cast and its props; `makers` are by service and the path up to one of its parameters.

    Of several the longest counts. A key may also be one route (`DELETE /domains/{domain_id}`) that needs another thing
    than the rest, or a parameter alone.
    """

    def __init__(self, cloud: RunningCloud, makers: Mapping[str, Mapping[str, Maker]]) -> None:
        self.cloud = cloud
        self.casting = Casting(cloud)
        self.cast: Cast = self.casting.cast
        self._makers = makers
        self._props: dict[tuple[str, str], Prop] = {}
        self._http = httpx.Client(timeout=60)
        self._number = 0
        self.at_end: list[Callable[[], None]] = []
        for service, path, limits in UNLIMITED:
            body = {next(iter(limits)): dict.fromkeys(next(iter(limits.values())), -1)}
            self.make(service, path.format(self.cast.project_id), body, "other_admin", "PUT")

    def close(self) -> None:
        for clear in reversed(self.at_end):
            clear()
        self._http.close()

    @property
    def suffix(self) -> str:
        """What makes a name one that nobody else uses."""
        self._number += 1
        return f"{self.casting.people.suffix}-{self._number}"

    def ask(
        self, who: Persona, api: Api, method: str, path: str, body: Any = None, version: str = "", **more: Any
    ) -> httpx.Response:
        """The answer to one request; `path` begins with the API's base."""
        origin = self.cloud.data_url if api.service in ON_DATA else self.cloud.control_url
        headers = {**({"X-Auth-Token": who.token} if who.token else {}), **more.pop("headers", {})}
        if version and api.microversions is not None:
            headers["OpenStack-API-Version"] = f"{api.microversions.name} {version}"
        return self._http.request(method, f"{origin}{api.root}{path}", json=body, headers=headers, **more)

    def make(
        self,
        service: str,
        path: str,
        body: Any,
        who: str = "member",
        method: str = "POST",
        media: str = "",
        **more: Any,
    ) -> Any:
        """Make something over the API, at its newest version; the parsed answer. AssertionError where it is refused."""
        api = api_of(service)
        headers = {"Content-Type": media} if media else {}
        newest = text(api.microversions.most) if api.microversions is not None else ""
        answer = self.ask(self.cast[who], api, method, base_of(api) + path, body, newest, headers=headers, **more)
        assert answer.status_code < 300, f"{method} {path} -> {answer.status_code}: {answer.text[:500]}"
        return answer.json() if answer.content else None

    def until(self, service: str, path: str, ready: Callable[[Any], bool]) -> Any:
        """What stands at `path` once it is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while True:
            found = self.make(service, path, None, method="GET", who="admin")
            if ready(found):
                return found
            assert time.monotonic() < deadline, f"{path} is not ready: {found}"
            time.sleep(0.01)

    def prop(self, service: str, route: Route) -> Prop:
        """What the route's path names; nothing for a path without parameters. NoSuchProp for an unknown one."""
        key = self._key(service, route)
        if not key:
            return {}
        prop = self.named(service, key)
        for name in PARAMETER.findall(route.path):
            if name not in prop:
                raise NoSuchProp(f"the prop {key} of {service} has no {name}, which {route.path} needs")
        return prop

    def named(self, service: str, key: str) -> Prop:
        """The thing of one of the keys, as it stands."""
        if (service, key) not in self._props:
            self._props[service, key] = self._makers[service][key](self)
        return self._props[service, key]

    def used_up(self, service: str, route: Route) -> None:
        """Have the thing made anew when it is next needed."""
        self._props.pop((service, self._key(service, route)), None)

    def known_ids(self) -> list[str]:
        """Ids of things made so far, in the order of their making."""
        return [value for prop in self._props.values() for value in prop.values() if isinstance(value, str)]

    def filled(self, said: Any) -> Any:
        """What a file of data says, with its `$words` filled."""
        if isinstance(said, dict):
            return {name: self.filled(value) for name, value in said.items()}
        if isinstance(said, list):
            return [self.filled(value) for value in said]
        if isinstance(said, str) and said.startswith("$") and not said.startswith("${"):
            return self.word(said[1:])
        return said

    def word(self, name: str) -> Any:
        """What `$name` stands for in `routes.yaml`."""
        match name:
            case "project":
                return self.cast.project_id
            case "domain":
                return self.cast.domain_id
            case "owner":
                return self.cast.owner_id
            case "caller":
                return "$caller"
            case "new":
                return f"new-{self.suffix}"
            case "token":
                return self.casting.people.token(self.cast.owner_id, {"project": {"id": self.cast.project_id}})
        return str(self.named("network", _NAMED[name])["id"])

    def forget(self, api: Api, path: str, made: Any) -> None:
        """Delete what a POST to `path` has made, so that no quota runs out."""
        found = next(iter(made.values())) if isinstance(made, dict) and len(made) == 1 else made
        if isinstance(found, dict) and "id" in found:
            self.ask(self.cast["other_admin"], api, "DELETE", f"{path}/{found['id']}")

    def _key(self, service: str, route: Route) -> str:
        found = list(PARAMETER.finditer(route.path))
        if not found:
            return ""
        paths = [route.path[: one.end()] for one in reversed(found)]
        for key in (f"{route.method} {route.path}", *paths, found[0][0]):
            if key in self._makers.get(service, {}):
                return key
        raise NoSuchProp(
            f"nobody knows how to make {paths[-1]} of {service}: add it to tests/personas/props/{service}.py"
        )


def api_of(service: str) -> Api:
    api = import_module(f"cumulet.services.{service}.api").API
    assert isinstance(api, Api)
    return api


def base_of(api: Api) -> str:
    """The API's base that names no project."""
    return next(base for base in api.bases if "{" not in base)


def filled(path: str, prop: Prop) -> str:
    """The path with its parameters' values."""
    return PARAMETER.sub(lambda match: str(prop[match[1]]), path)
