# SPDX-License-Identifier: Apache-2.0
"""The keys that seal tokens and credentials: rings of numbered keys in the vault, as Keystone's key repositories are.

The key with the highest number is the primary key, which seals; all of them open. `0` is the staged key, which the
next rotation makes primary: by then every process knows it, for each reads its rings again every RELOAD seconds.
"""

from __future__ import annotations

import logging
import shutil
import time
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet, MultiFernet

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.vault import Vault

LOG = logging.getLogger(__name__)

TOKENS = "identity.tokens"
CREDENTIALS = "identity.credentials"
# Where the release before kept them, a file a key.
FORMER_FOLDERS = {TOKENS: "fernet", CREDENTIALS: "credential"}

KEEP = 3  # keys that stay after a rotation: primary, staged, and one that opens what the last primary sealed
RELOAD = 5.0  # seconds

Keys = dict[int, str]


class KeyRing:
    """One ring, read from the vault and again every RELOAD seconds; safe in any thread."""

    def __init__(self, vault: Vault, name: str) -> None:
        self._vault = vault
        self._name = name
        self._read_at = 0.0
        self._fernet: MultiFernet | None = None

    def fernet(self, source: Source | None = None) -> MultiFernet:
        """Seals with the primary key, opens with any. Inside a `db.write`, `source` is its transaction."""
        now = time.monotonic()
        if self._fernet is None or now - self._read_at > RELOAD:
            keys = _decode(self._vault.get(self._name, source))
            self._fernet = MultiFernet([Fernet(keys[number]) for number in sorted(keys, reverse=True)])
            self._read_at = now
        return self._fernet


class Rings:
    """The rings of one process."""

    def __init__(self) -> None:
        self._rings: dict[str, KeyRing] = {}

    def ring(self, vault: Vault, name: str) -> KeyRing:
        return self._rings.get(name) or self._rings.setdefault(name, KeyRing(vault, name))


def tokens(cloud: Cloud) -> KeyRing:
    """The keys that seal tokens."""
    return cloud.keep(Rings).ring(cloud.vault, TOKENS)


def credentials(cloud: Cloud) -> KeyRing:
    """The keys that seal stored credentials."""
    return cloud.keep(Rings).ring(cloud.vault, CREDENTIALS)


def ensure(vault: Vault, name: str) -> None:
    """Make a staged and a primary key where there are none."""
    vault.get_or_make(name, lambda: _encode({0: _new(), 1: _new()}))


def take_over(vault: Vault, name: str, state: Path) -> None:
    """Move the keys that the release before kept in files below `state` into the vault, unless it has some."""
    folder = state / "keys" / FORMER_FOLDERS[name]
    if not folder.is_dir():
        return
    found = {int(path.name): path.read_text(encoding="ascii") for path in folder.iterdir() if path.name.isdigit()}
    kept = _decode(vault.get_or_make(name, lambda: _encode(found))) if found else {}
    if set(found.values()) <= set(kept.values()):
        shutil.rmtree(folder)
        LOG.info("the keys in %s are in the vault now", folder)


def rotate(vault: Vault, name: str, keep: int = KEEP) -> int:
    """Make the staged key primary and stage a new one; keeps the `keep` newest keys. Returns the primary's number."""
    ensure(vault, name)

    def change(packed: bytes | None) -> bytes:
        keys = _decode(packed)
        newest = {max(keys) + 1: keys.pop(0), **keys}
        stay = sorted(newest, reverse=True)[: max(keep - 1, 1)]
        return _encode({0: _new(), **{number: newest[number] for number in stay}})

    return max(_decode(vault.change(name, change)))


def _new() -> str:
    return Fernet.generate_key().decode("ascii")


def _encode(keys: Keys) -> bytes:
    return msgspec.json.encode(keys)


def _decode(packed: bytes | None) -> Keys:
    return msgspec.json.decode(packed, type=Keys) if packed is not None else {}
