# SPDX-License-Identifier: Apache-2.0
"""Root secrets of encryption that a key manager keeps (Barbican's API), fetched as by Swift's kms_keymaster.

Until they have come nothing of the store can be read or written. They are in memory alone, and in no log.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from cumulet.kernel.errors import CumuletError
from cumulet.services.object_store.drivers.web import Web, WebAnswer
from cumulet.services.object_store.engine.jobs.upkeep import Job
from cumulet.services.object_store.engine.keys import LEAST, Secrets

LOG = logging.getLogger(__name__)

SECTION = "kms_keymaster"
EVERY = 5.0  # seconds between two tries

_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_RAW = "application/octet-stream"


class Unfit(CumuletError):
    """What the key manager or identity said is not what is needed."""


class _Endpoint(msgspec.Struct):
    interface: str = ""
    region_id: str | None = None
    region: str | None = None
    url: str = ""


class _Service(msgspec.Struct):
    type: str = ""
    endpoints: list[_Endpoint] = []


class _Token(msgspec.Struct):
    catalog: list[_Service] = []


class _Said(msgspec.Struct):
    token: _Token = msgspec.field(default_factory=_Token)


class _Secret(msgspec.Struct):
    """What is told of a secret, without it."""

    secret_type: str = ""
    algorithm: str | None = None
    bit_length: int | None = None
    content_types: dict[str, str] | None = None


class KeyManager(msgspec.Struct, frozen=True, kw_only=True):
    """Settings, by the names that Swift has for them; `keys` are ids of secrets in the key manager, by our names.

    `cafile`: the authorities that sign certificates of both servers, else those of the machine.
    """

    auth_endpoint: str
    keys: Mapping[str, str]
    active: str = ""
    username: str = ""
    user_id: str = ""
    password: str = ""
    user_domain_name: str = ""
    user_domain_id: str = ""
    project_name: str = ""
    project_id: str = ""
    project_domain_name: str = ""
    project_domain_id: str = ""
    barbican_endpoint: str = ""
    barbican_region_name: str = ""
    cafile: str = ""

    def __repr__(self) -> str:
        return f"KeyManager(auth_endpoint={self.auth_endpoint!r})"

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> KeyManager:
        """ValueError for what cannot be."""
        keys, words = {}, {}
        for name, value in options.items():
            if name == "key_id" or name.startswith("key_id_"):
                found = str(value).rstrip("/").rpartition("/")[2]
                if not _ID.fullmatch(found):
                    raise ValueError(f"{name} is no id of a secret")
                keys[name.removeprefix("key_id").removeprefix("_")] = found
            elif name == "active_root_secret_id":
                words["active"] = str(value or "")
            elif name in cls.__struct_fields__ and name not in ("keys", "active"):
                words[name] = str(value)
            elif name != "api_class":
                raise ValueError(f"there is no {name}")
        made = cls(keys=keys, **{"auth_endpoint": "", **words})
        if made.active not in keys:
            raise ValueError(f"there is no key_id for active_root_secret_id {made.active!r}")
        for name in ("auth_endpoint", "barbican_endpoint"):
            address = getattr(made, name)
            if not address.startswith(("http://", "https://")) and (address or name == "auth_endpoint"):
                raise ValueError(f"{name} is no address")
        return made


class KeyFetcher:
    """Gives `secrets` what they wait for."""

    def __init__(self, manager: KeyManager, secrets: Secrets, web: Web | None = None) -> None:
        self._manager, self._secrets = manager, secrets
        self._web = web or Web(authorities=manager.cafile or None)
        self._trouble = ""

    async def run(self) -> int:
        """How many came; why none can be had is said once."""
        if self._secrets.there:
            return 0
        try:
            found = await self._fetch()
            self._secrets.take(found, self._manager.active)
        except (CumuletError, ValueError) as error:
            if str(error) != self._trouble:
                LOG.error("the root secrets of encryption cannot be had: %s", error)
            self._trouble = str(error)
            return 0
        LOG.info("%d root secrets of encryption have come from the key manager", len(found))
        return len(found)

    async def _fetch(self) -> dict[str, bytes]:
        token, said = await self._log_in()
        base = self._manager.barbican_endpoint or self._endpoint(said)
        base = base.rstrip("/")
        base = base if base.endswith("/v1") else f"{base}/v1"
        return {name: await self._key(f"{base}/secrets/{key}", token, key) for name, key in self._manager.keys.items()}

    async def _log_in(self) -> tuple[str, _Said]:
        manager = self._manager
        base = manager.auth_endpoint.rstrip("/")
        base = base if base.endswith("/v3") else f"{base}/v3"
        body = msgspec.json.encode({"auth": _who(manager)})
        answer = await self._web.ask("POST", f"{base}/auth/tokens", {"content-type": "application/json"}, body)
        if answer.status != 201 or "x-subject-token" not in answer.headers:
            raise Unfit(f"identity answered {answer.status}")
        return answer.headers["x-subject-token"], _read(answer, _Said, "identity")

    def _endpoint(self, said: _Said) -> str:
        region = self._manager.barbican_region_name
        for service in said.token.catalog:
            for each in service.endpoints if service.type == "key-manager" else ():
                if each.interface == "public" and (not region or region in (each.region_id, each.region)):
                    return each.url
        raise Unfit("the catalogue has no key manager: say barbican_endpoint")

    async def _key(self, url: str, token: str, name: str) -> bytes:
        headers = {"x-auth-token": token, "accept": "application/json"}
        answer = await self._web.ask("GET", url, headers)
        if answer.status != 200:
            raise Unfit(f"the key manager answered {answer.status} for the secret {name}")
        about = _read(answer, _Secret, "the key manager")
        if about.secret_type != "symmetric":  # noqa: S105 - a kind of secrets
            raise Unfit(f"the secret {name} is not a symmetric key (type: {about.secret_type})")
        if (about.bit_length or 0) < 8 * LEAST or (about.algorithm or "").lower() != "aes":
            raise Unfit(
                f"the secret {name} must be an AES key of at least 256 bits"
                f" (length: {about.bit_length}, algorithm: {about.algorithm})"
            )
        if (kind := (about.content_types or {}).get("default")) != _RAW:
            raise Unfit(f"the secret {name} must be in raw format ({kind})")
        answer = await self._web.ask("GET", f"{url}/payload", headers | {"accept": _RAW})
        if answer.status != 200:
            raise Unfit(f"the key manager answered {answer.status} for the payload of {name}")
        if len(answer.body) < LEAST:
            raise Unfit(f"the secret {name} has less than {LEAST} bytes")
        return answer.body


def job(options: Mapping[str, Any], secrets: Secrets) -> Job:
    """What is to be done until the secrets are there."""
    return Job("root secrets", EVERY, KeyFetcher(KeyManager.of(options), secrets).run, at_once=True)


def _who(manager: KeyManager) -> dict[str, Any]:
    user: dict[str, Any] = {"password": manager.password}
    if manager.user_id:
        user["id"] = manager.user_id
    else:
        user |= {"name": manager.username, "domain": _domain(manager.user_domain_id, manager.user_domain_name)}
    project: dict[str, Any] = {"id": manager.project_id}
    if not manager.project_id:
        domain = _domain(manager.project_domain_id, manager.project_domain_name)
        project = {"name": manager.project_name, "domain": domain}
    identity = {"methods": ["password"], "password": {"user": user}}
    return {"identity": identity, "scope": {"project": project}}


def _domain(number: str, name: str) -> dict[str, str]:
    return {"id": number} if number or not name else {"name": name}


def _read(answer: WebAnswer, kind: type[Any], who: str) -> Any:
    try:
        return msgspec.json.decode(answer.body, type=kind)
    except msgspec.DecodeError:
        raise Unfit(f"what {who} answered cannot be read") from None
