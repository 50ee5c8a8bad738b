# SPDX-License-Identifier: Apache-2.0
"""Log-ins as of Swift's TempAuth, and the tokens that they give.

A token names its user and its end and is sealed with a key that all processes of the store have, and with the user's
own key: so it outlives restarts, is known everywhere, and ends when the user's key is changed or the user removed.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

from cumulet.kernel import clock
from cumulet.services.object_store.logic.temp_auth import TempRules, TempUser, groups_of

_SEAL = 32  # bytes
KNOWN = 4096  # tokens that need not be unsealed again


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a log-in is answered with; the body is empty where it is 200, and the status's usual one elsewhere."""

    status: int
    headers: dict[str, str] = {}


class TempAuth:
    """`path` is where one logs in (`/auth`), `life` how many seconds a token lasts, `now` seconds since the epoch.

    `url` is where clients find the store; "" for where they have asked.
    """

    def __init__(
        self,
        rules: TempRules,
        users: Mapping[str, TempUser],
        secret: bytes,
        *,
        path: str = "/auth",
        life: int = 86_400,
        scheme: Literal["default", "http", "https"] = "default",
        url: str = "",
        now: Callable[[], float] = clock.now,
    ) -> None:
        self.rules = rules
        self._users = users
        self._secret = hmac.digest(secret, b"tokens of temp_auth", "sha256")
        self._path = path.rstrip("/") + "/"
        self._life = life
        self._scheme = scheme
        self._url = url
        self._now = now
        self._known: dict[str, tuple[TempUser, int]] = {}

    @property
    def is_used(self) -> bool:
        """Whether there are users at all."""
        return bool(self._users)

    def is_log_in(self, path: str) -> bool:
        return path.startswith(self._path)

    def issued(self, token: str) -> bool:
        """Whether a token looks like one from here."""
        return token.startswith(self._mark)

    def groups(self, token: str, service_token: str = "") -> tuple[str, ...] | None:
        """The groups of a token's user, and those of a service's token after them; None for one that is not valid."""
        user = self._opened(token)
        if user is None:
            return None
        service = self._opened(service_token) if service_token else None
        own = groups_of(user, self.rules)
        return own if service is None else own + groups_of(service, self.rules)

    def keyed(self, access: str) -> TempUser | None:
        """The user `ACCOUNT:USER`, whose requests to S3 are signed with the user's key."""
        return self._users.get(access)

    def log_in(self, method: str, path: str, headers: Mapping[str, str], host_url: str) -> Answer:
        """Answer a request below `path`. `headers` are in lower case, `host_url` is `http://host:port`."""
        if method != "GET":
            return Answer(status=405, headers={"Allow": "GET"})
        parts = path.removeprefix(self._path).split("/", 2)
        match parts:
            case ["v1", account, "auth"]:
                return self._enter(*_of_account(account, headers), host_url)
            case ["auth" | "v1.0", *_]:
                return self._enter(*_of_user(headers), host_url)
            case [""] | ["", *_]:
                return Answer(status=404)
        return Answer(status=400)

    @property
    def _mark(self) -> str:
        return f"{self.rules.prefixes[0]}tk"

    def _enter(self, account: str, user: str, key: str, host_url: str) -> Answer:
        found = self._users.get(f"{account}:{user}")
        right = hmac.compare_digest((found.key if found else "").encode(), key.encode("utf-8", "surrogateescape"))
        if found is None or not right or not (account and user and key):
            return Answer(status=401, headers={"Www-Authenticate": f'Swift realm="{account or "unknown"}"'})
        url = found.url.replace("$HOST", self._url or host_url)
        if self._scheme != "default":
            url = f"{self._scheme}:{url.partition(':')[2]}"
        token = self._sealed(found)
        words = {"X-Auth-Token": token, "X-Storage-Token": token, "X-Auth-Token-Expires": str(self._life)}
        return Answer(status=200, headers={**words, "X-Storage-Url": url})

    def _sealed(self, user: TempUser) -> str:
        body = msgspec.msgpack.encode((int(self._now()) + self._life, user.name))
        return self._mark + base64.urlsafe_b64encode(self._seal(body, user) + body).decode().rstrip("=")

    def _opened(self, token: str) -> TempUser | None:
        known = self._known.get(token)
        if known is None:
            known = self._unsealed(token)
            if known is None:
                return None
            if len(self._known) >= KNOWN:
                self._known.clear()
            self._known[token] = known
        user, ends = known
        return user if ends > self._now() else None

    def _unsealed(self, token: str) -> tuple[TempUser, int] | None:
        """Whose it is, and when it ends; None for one that is not from here."""
        if not self.issued(token):
            return None
        word = token.removeprefix(self._mark)
        try:
            raw = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True)
            ends, name = msgspec.msgpack.decode(raw[_SEAL:], type=tuple[int, str])
        except (binascii.Error, ValueError, msgspec.DecodeError):
            return None
        user = self._users.get(name)
        if user is None or not hmac.compare_digest(raw[:_SEAL], self._seal(raw[_SEAL:], user)):
            return None
        return user, ends

    def _seal(self, body: bytes, user: TempUser) -> bytes:
        return hmac.digest(self._secret, body + hashlib.sha256(user.key.encode()).digest(), "sha256")


def _of_account(account: str, headers: Mapping[str, str]) -> tuple[str, str, str]:
    """Account, user and key of a request to `v1/ACCOUNT/auth`."""
    key = headers.get("x-storage-pass") or headers.get("x-auth-key", "")
    user = headers.get("x-storage-user", "")
    if user:
        return account, user, key
    other, _, user = headers.get("x-auth-user", "").partition(":")
    return (account, user, key) if other == account else (account, "", "")


def _of_user(headers: Mapping[str, str]) -> tuple[str, str, str]:
    """Account, user and key of a request to `auth` or `v1.0`."""
    key = headers.get("x-auth-key") or headers.get("x-storage-pass", "")
    account, colon, user = (headers.get("x-auth-user") or headers.get("x-storage-user", "")).partition(":")
    return (account, user, key) if colon else ("", "", "")
