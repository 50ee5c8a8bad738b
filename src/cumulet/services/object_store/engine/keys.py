# SPDX-License-Identifier: Apache-2.0
"""The keys of what is encrypted: each object and container has one of its own, made of a secret of the operator.

A secret is at least 32 bytes. There may be several, by name; one of them is in use, with the others is read what was
written before. A sealed value is `1;<name of the secret>;<base64 of nonce and AES-GCM>`, bound to its path and use.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from cumulet.kernel.errors import CumuletError, NotReady

SETTING = "encryption_root_secret"
LEAST = 32  # bytes of a secret

_FORM = "1;"
_NONCE = 12
_BLOCK = 16


class CannotDecrypt(CumuletError):
    """Its secret is not known any more, or it was changed."""

    status = 500


class Secrets:
    """By name, "" for the one that has none; values are named `active`. Without one they are awaited."""

    def __init__(self, known: Mapping[str, bytes], active: str | None = "") -> None:
        self._known, self._active, self.there = dict(known), "", False
        if active is not None:
            self.take({}, active)

    @classmethod
    def of(cls, options: Mapping[str, Any], *, awaited: bool = False) -> Secrets:
        """From settings named as Swift's: `encryption_root_secret[_<name>]` in base64, `active_root_secret_id`.

        Where others are `awaited` these are for what was written before.
        """
        known = {}
        for key, value in options.items():
            if key != SETTING and not key.startswith(f"{SETTING}_"):
                continue
            try:
                secret = base64.b64decode("".join(str(value).split()), validate=True)
            except ValueError:
                secret = b""
            if len(secret) < LEAST:
                raise ValueError(f"{key} must be a base64 encoding of at least {LEAST} raw bytes")
            known[key.removeprefix(SETTING).removeprefix("_")] = secret
        return cls(known, None if awaited else options.get("active_root_secret_id") or "")

    def take(self, more: Mapping[str, bytes], active: str) -> None:
        """Those that were awaited. ValueError for what cannot be; nothing has changed then."""
        known = {**self._known, **more}
        if twice := sorted(self._known.keys() & more.keys()):
            raise ValueError(f"there are two root secrets {twice[0]!r}")
        if active not in known:
            raise ValueError(f"there is no root secret {active!r} for new objects")
        if any(";" in name or not name.isprintable() for name in known):
            raise ValueError("a root secret has a name that cannot be written down")
        self._known, self._active, self.there = known, active, True

    def check(self) -> None:
        """NotReady while they are awaited."""
        if not self.there:
            raise NotReady("The keys of the store have not come yet.", code="NoKeys")

    def seal(self, path: str, use: str, value: bytes) -> str:
        nonce = os.urandom(_NONCE)
        sealed = AESGCM(self._key(self._active, path)).encrypt(nonce, value, use.encode())
        return f"{_FORM}{self._active};{base64.b64encode(nonce + sealed).decode()}"

    def open(self, path: str, use: str, sealed: str) -> bytes:
        """CannotDecrypt for what was not sealed so."""
        _, name, words = [*sealed.split(";", 2), "", ""][:3]
        try:
            data = base64.b64decode(words, validate=True)
            return AESGCM(self._key(name, path)).decrypt(data[:_NONCE], data[_NONCE:], use.encode())
        except (InvalidTag, ValueError) as error:
            raise CannotDecrypt("Error decrypting object") from error

    def _key(self, name: str, path: str) -> bytes:
        secret = self._known.get(name)
        if secret is None:
            raise CannotDecrypt("Error decrypting object")
        return hmac.new(secret, path.encode(), hashlib.sha256).digest()


def is_sealed(value: str) -> bool:
    return value.startswith(_FORM) and value.count(";") == 2


def stream(key: bytes, first: bytes, offset: int = 0) -> CipherContext:
    """AES-CTR from byte `offset` on; the same encrypts and decrypts. `first` is the counter of the first block."""
    number = (int.from_bytes(first, "big") + offset // _BLOCK) % (1 << 128)
    cipher = Cipher(algorithms.AES(key), modes.CTR(number.to_bytes(_BLOCK, "big")))
    context = cipher.encryptor()
    context.update(bytes(offset % _BLOCK))
    return context
