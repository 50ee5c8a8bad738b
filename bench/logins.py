# SPDX-License-Identifier: Apache-2.0
"""Logins out of a `clouds.yaml`, and the law that no request leaves this machine."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml


class BadLogin(Exception):
    """The file, or what it says of the cloud, is of no use; the message says why."""


class NotLoopback(Exception):
    """An address that is not this machine's own."""


@dataclass(frozen=True)
class Login:
    """Where and as whom: `request` is the whole body of `POST /v3/auth/tokens`; `url` ends in `/v3`."""

    url: str
    request: dict[str, Any]
    region: str | None
    interface: str


def check_loopback(url: str) -> str:
    """`url` itself; NotLoopback for one that leads elsewhere, or whose host is any other name than `localhost`."""
    host = urlsplit(url).hostname or ""
    try:
        own = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        own = False
    if not own:
        raise NotLoopback(f"{url} is not on loopback")
    return url


def read(path: Path, cloud: str | None = None) -> Login:
    """The login of `cloud`, or of the only one in the file (of several, the first). Raises BadLogin and NotLoopback."""
    try:
        clouds = yaml.safe_load(path.read_text(encoding="utf-8"))["clouds"]
        words = clouds[cloud or next(iter(clouds))]
        auth = words["auth"]
        url = str(auth["auth_url"]).rstrip("/")
        user = {"password": str(auth["password"]), **_named(auth, "user", "username")}
        project = _named(auth, "project", "project_name")
    except (OSError, yaml.YAMLError, KeyError, TypeError, StopIteration) as error:
        raise BadLogin(f"{path}: no login with a password for {cloud or 'any cloud'} ({error!r})") from error
    body = {
        "identity": {"methods": ["password"], "password": {"user": user}},
        "scope": {"project": project},
    }
    return Login(
        url=check_loopback(url if url.endswith("/v3") else f"{url}/v3"),
        request={"auth": body},
        region=words.get("region_name"),
        interface=words.get("interface", "public"),
    )


def _named(auth: dict[str, Any], kind: str, name: str) -> dict[str, Any]:
    """The user or project, by id or by its name within a domain."""
    if f"{kind}_id" in auth:
        return {"id": auth[f"{kind}_id"]}
    if f"{kind}_domain_id" in auth:
        domain = {"id": auth[f"{kind}_domain_id"]}
    else:
        domain = {"name": auth.get(f"{kind}_domain_name", "Default")}
    return {"name": auth[name], "domain": domain}
