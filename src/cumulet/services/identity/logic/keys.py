# SPDX-License-Identifier: Apache-2.0
"""The keys that seal and sign tokens, receipts and credentials: rings of numbered keys in the vault, as Keystone's key
repositories are.

The key with the highest number is the primary key, which seals; all of them open. `0` is the staged key, which the
next rotation makes primary: by then every process knows it, for each reads its rings again every RELOAD seconds.
"""

from __future__ import annotations

import logging
import shutil
import time
from itertools import pairwise
from pathlib import Path

import msgspec
from cryptography.fernet import Fernet, MultiFernet
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source
from cumulet.kernel.vault import Vault

LOG = logging.getLogger(__name__)

TOKENS = "identity.tokens"
SIGNATURES = "identity.signatures"
RECEIPTS = "identity.receipts"
CREDENTIALS = "identity.credentials"
ALL = (TOKENS, SIGNATURES, RECEIPTS, CREDENTIALS)
# Where the release before kept them, a file a key.
FORMER_FOLDERS = {TOKENS: "fernet", CREDENTIALS: "credential"}

KEEP = 3  # keys that stay after a rotation: primary, staged, and one that opens what the last primary sealed
RELOAD = 5.0  # seconds
READ_AGAIN = 1.0  # seconds between two readings for the sake of a text that no key opens

Keys = dict[int, str]


class KeyRing:
    """One ring, read from the vault and again every RELOAD seconds; safe in any thread."""

    def __init__(self, vault: Vault, name: str) -> None:
        self._vault = vault
        self._name = name
        self._read_at = float("-inf")
        self._keys: Keys = {}
        self._fernet: MultiFernet | None = None
        self._signers: list[EllipticCurvePrivateKey] = []

    def fernet(self, source: Source | None = None) -> MultiFernet:
        """Seals with the primary key, opens with any. Inside a `db.write`, `source` is its transaction."""
        self._read(RELOAD, source)
        if self._fernet is None:
            self._fernet = MultiFernet([Fernet(key) for key in _in_order(self._keys)])
        return self._fernet

    def signer(self) -> EllipticCurvePrivateKey:
        """The primary key of a ring that signs."""
        return self._pairs()[0]

    def verifiers(self) -> list[EllipticCurvePublicKey]:
        """All public keys of a ring that signs, the primary one first."""
        return [pair.public_key() for pair in self._pairs()]

    def read_again(self, source: Source | None = None) -> bool:
        """Read the ring now, unless that was done within the last second; whether other keys were found."""
        return self._read(READ_AGAIN, source)

    def _pairs(self) -> list[EllipticCurvePrivateKey]:
        self._read(RELOAD, None)
        if not self._signers:
            self._signers = [_pair(key) for key in _in_order(self._keys)]
        return self._signers

    def _read(self, after: float, source: Source | None) -> bool:
        now = time.monotonic()
        if now - self._read_at <= after:
            return False
        keys = _decode(self._vault.get(self._name, source))
        self._read_at = now
        if keys == self._keys:
            return False
        self._keys, self._fernet, self._signers = keys, None, []
        return True


class Rings:
    """The rings of one process."""

    def __init__(self) -> None:
        self._rings: dict[str, KeyRing] = {}

    def ring(self, vault: Vault, name: str) -> KeyRing:
        return self._rings.get(name) or self._rings.setdefault(name, KeyRing(vault, name))


def tokens(cloud: Cloud) -> KeyRing:
    """The keys that seal tokens."""
    return cloud.keep(Rings).ring(cloud.vault, TOKENS)


def signatures(cloud: Cloud) -> KeyRing:
    """The keys that sign tokens."""
    return cloud.keep(Rings).ring(cloud.vault, SIGNATURES)


def receipts(cloud: Cloud) -> KeyRing:
    """The keys that seal receipts: others than those of tokens, so that none is ever taken for the other."""
    return cloud.keep(Rings).ring(cloud.vault, RECEIPTS)


def credentials(cloud: Cloud) -> KeyRing:
    """The keys that seal stored credentials."""
    return cloud.keep(Rings).ring(cloud.vault, CREDENTIALS)


def ensure(vault: Vault, name: str) -> None:
    """Make a staged and a primary key where there are none."""
    vault.get_or_make(name, lambda: _encode({0: _new(name), 1: _new(name)}))


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


def rotate(vault: Vault, name: str, keep: int = KEEP, *, life: float = 0.0) -> int:
    """Make the staged key primary and stage a new one. Returns the primary's number.

    The `keep` newest keys stay, and those that sealed what may still be alive: a key whose successor has been primary
    for less than `life` seconds.
    """
    ensure(vault, name)
    since = _note_succession(vault, name)
    now = clock.now()

    def change(packed: bytes | None) -> bytes:
        keys = _decode(packed)
        newest = {max(keys) + 1: keys.pop(0), **keys}
        order = sorted(newest, reverse=True)
        stay = order[: max(keep - 1, 1)]
        stay += [old for newer, old in pairwise(order) if old not in stay and since.get(newer, now) + life > now]
        return _encode({0: _new(name), **{number: newest[number] for number in stay}})

    return max(_decode(vault.change(name, change)))


def _note_succession(vault: Vault, name: str) -> dict[int, float]:
    """Write down that the next key becomes primary now; since when each key has been."""
    keys = _decode(vault.get(name))
    now = clock.now()

    def change(packed: bytes | None) -> bytes:
        since = msgspec.json.decode(packed, type=dict[int, float]) if packed is not None else {}
        known = {number: since.get(number, now) for number in keys if number}
        return msgspec.json.encode({**known, max(keys) + 1: now})

    return msgspec.json.decode(vault.change(f"{name}.since", change), type=dict[int, float])


def _new(name: str) -> str:
    if name != SIGNATURES:
        return Fernet.generate_key().decode("ascii")
    pair = ec.generate_private_key(ec.SECP256R1())
    return pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode("ascii")


def _pair(text: str) -> EllipticCurvePrivateKey:
    pair = load_pem_private_key(text.encode("ascii"), None)
    assert isinstance(pair, EllipticCurvePrivateKey)
    return pair


def _in_order(keys: Keys) -> list[str]:
    """The primary key first, the staged one last."""
    return [keys[number] for number in sorted(keys, reverse=True)]


def _encode(keys: Keys) -> bytes:
    return msgspec.json.encode(keys)


def _decode(packed: bytes | None) -> Keys:
    return msgspec.json.decode(packed, type=Keys) if packed is not None else {}
