# SPDX-License-Identifier: Apache-2.0
"""Hashes of passwords and other secrets: bcrypt, in a small pool of its own so that hashing never takes every core."""

from __future__ import annotations

from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from hashlib import sha256

import bcrypt

THREADS = 2
LONGEST = 4096  # characters

# The hash of a secret nobody knows: checked for unknown users, so that the time of an answer does not tell them apart.
_NOBODY: dict[int, str] = {}


def make_hash(secret: str, rounds: int) -> str:
    """A salted hash; `rounds` is the logarithm of the work."""
    return _pool().submit(_hash, secret, rounds).result()


def matches(secret: str, hashed: str) -> bool:
    """Whether `hashed` is a hash of `secret`."""
    return _pool().submit(bcrypt.checkpw, _digest(secret), hashed.encode("ascii")).result()


def waste(secret: str, rounds: int) -> None:
    """Take as long as a comparison would."""
    if rounds not in _NOBODY:
        _NOBODY[rounds] = make_hash("", rounds)
    matches(secret, _NOBODY[rounds])


def _hash(secret: str, rounds: int) -> str:
    return bcrypt.hashpw(_digest(secret), bcrypt.gensalt(rounds)).decode("ascii")


def _digest(secret: str) -> bytes:
    """44 characters that stand for the whole secret: bcrypt itself reads only 72 bytes and stops at a zero."""
    return b64encode(sha256(secret.encode("utf-8", "surrogatepass")).digest())


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, "password")
