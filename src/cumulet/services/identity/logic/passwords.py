# SPDX-License-Identifier: Apache-2.0
"""Hashes of passwords and other secrets, in a small pool of its own so that hashing never takes every core.

A hash says how it was made: `$2b$rounds$...` (bcrypt of the secret's SHA-256), `$scrypt$ln=,r=,p=$salt$key` or
`$pbkdf2-sha512$rounds$salt$key`, so that each is checked in its own way whatever new ones are made with.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TYPE_CHECKING

import bcrypt

if TYPE_CHECKING:
    from cumulet.settings.identity import Identity

    How = Identity | int  # the settings, or the rounds of bcrypt

THREADS = 2
LONGEST = 4096  # characters
SALT = 16  # bytes
KEY = 32
SCRYPT, PBKDF2 = "$scrypt$", "$pbkdf2-sha512$"

# The hash of a secret nobody knows: checked for unknown users, so that the time of an answer does not tell them apart.
_NOBODY: dict[str, str] = {}


def make_hash(secret: str, how: How) -> str:
    """A salted hash."""
    return _pool().submit(_hash, secret, how).result()


def matches(secret: str, hashed: str) -> bool:
    """Whether `hashed` is a hash of `secret`."""
    return _pool().submit(_check, secret, hashed).result()


def waste(secret: str, how: How) -> None:
    """Take as long as a comparison would."""
    begin = _begin(how)
    if begin not in _NOBODY:
        _NOBODY[begin] = make_hash("", how)
    matches(secret, _NOBODY[begin])


def is_current(hashed: str, how: How) -> bool:
    """Whether a new hash would be made in the same way."""
    return hashed.startswith(_begin(how))


def _begin(how: How) -> str:
    """What all hashes made in this way begin with."""
    if isinstance(how, int):
        return f"$2b${how:02}$"
    algorithm = how.password_hash_algorithm
    if algorithm == "scrypt":
        return f"{SCRYPT}ln={how.scrypt_rounds},r={how.scrypt_block_size},p={how.scrypt_parallelism}$"
    if algorithm == "pbkdf2_sha512":
        return f"{PBKDF2}{how.pbkdf2_sha512_rounds}$"
    return f"$2b${how.bcrypt_rounds:02}$"


def _hash(secret: str, how: How) -> str:
    begin = _begin(how)
    if begin.startswith((SCRYPT, PBKDF2)):
        salt = os.urandom(SALT)
        return f"{begin}{_text(salt)}${_text(_key(secret, begin, salt))}"
    rounds = how if isinstance(how, int) else how.bcrypt_rounds
    return bcrypt.hashpw(_digest(secret), bcrypt.gensalt(rounds)).decode("ascii")


def _check(secret: str, hashed: str) -> bool:
    if not hashed.startswith((SCRYPT, PBKDF2)):
        return bcrypt.checkpw(_digest(secret), hashed.encode("ascii"))
    begin, salt, key = hashed.rsplit("$", 2)
    return hmac.compare_digest(_key(secret, begin + "$", b64decode(salt)), b64decode(key))


def _key(secret: str, begin: str, salt: bytes) -> bytes:
    plain = secret.encode("utf-8", "surrogatepass")
    words = begin.strip("$").split("$")[1]
    if begin.startswith(PBKDF2):
        return hashlib.pbkdf2_hmac("sha512", plain, salt, int(words))
    found = {name: int(value) for name, _, value in (word.partition("=") for word in words.split(","))}
    n, r, p = 1 << found["ln"], found["r"], found["p"]
    return hashlib.scrypt(plain, salt=salt, n=n, r=r, p=p, dklen=KEY, maxmem=256 * r * (n + p + 2))


def _text(raw: bytes) -> str:
    return b64encode(raw).decode("ascii")


def _digest(secret: str) -> bytes:
    """44 characters that stand for the whole secret: bcrypt itself reads only 72 bytes and stops at a zero."""
    return b64encode(hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest())


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "password")
