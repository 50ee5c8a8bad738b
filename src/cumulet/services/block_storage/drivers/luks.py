# SPDX-License-Identifier: Apache-2.0
"""LUKS containers (version 1 of the format, as QEMU and dm-crypt open it): what stands in front of the ciphertext.

The header is made in this process, so that no program is ever told a key for it, and at once: programs measure for
seconds how much a passphrase has to be stretched. Passphrases here are keys of full strength, which need no stretching.
"""

from __future__ import annotations

import hashlib
import os
import struct
from uuid import uuid4

from cumulet.kernel.errors import Invalid
from cumulet.services.block_storage.types.encryption import CIPHERS, HEADER, Container

MAGIC = b"LUKS\xba\xbe"
_SECTOR = 512
_STRIPES = 4000  # into which a key is spread, so that destroying any part of it destroys it
_ROUNDS = 1000  # the least that readers take
_SLOTS = 8
_ENABLED, _DISABLED = 0x00AC71F3, 0x0000DEAD
_FIRST_SLOT = 8  # sectors
_ALIGNED = 8  # sectors
_DIGEST = 20  # bytes of the digest by which a key is known to be the right one
_SALT = 32


def header(container: Container) -> bytes:
    """The first `HEADER` bytes of a new container, which its passphrase opens. Invalid for what is not supported."""
    cipher, size = container.cipher, container.key_size
    if size not in CIPHERS.get(cipher, ()):
        raise Invalid(f"Volumes cannot be encrypted with {cipher} and keys of {size} bits.")
    length, mode = size // 8, cipher.partition("-")[2]
    key, salt, slot_salt = os.urandom(length), os.urandom(_SALT), os.urandom(_SALT)
    digest = hashlib.pbkdf2_hmac("sha256", key, salt, _ROUNDS, _DIGEST)
    head = struct.pack(
        ">6sH32s32s32sII20s32sI40s", MAGIC, 1, b"aes", mode.encode(), b"sha256", HEADER // _SECTOR, length, digest,
        salt, _ROUNDS, str(uuid4()).encode(),
    )  # fmt: skip
    room = -(-length * _STRIPES // _SECTOR)
    room = -(-room // _ALIGNED) * _ALIGNED
    for slot in range(_SLOTS):
        state, rounds, with_salt = (_ENABLED, _ROUNDS, slot_salt) if slot == 0 else (_DISABLED, 0, bytes(_SALT))
        head += struct.pack(">II32sII", state, rounds, with_salt, _FIRST_SLOT + slot * room, _STRIPES)
    slot_key = hashlib.pbkdf2_hmac("sha256", container.passphrase.encode(), slot_salt, _ROUNDS, length)
    material = _encrypted(slot_key, _spread(key).ljust(room * _SECTOR, b"\0"))
    return (head.ljust(_FIRST_SLOT * _SECTOR, b"\0") + material).ljust(HEADER, b"\0")


def _spread(key: bytes) -> bytes:
    """The key in stripes, all of which are needed to have it again."""
    random = os.urandom(len(key) * (_STRIPES - 1))
    mixed = bytes(len(key))
    for at in range(0, len(random), len(key)):
        mixed = _diffused(_xor(mixed, random[at : at + len(key)]))
    return random + _xor(mixed, key)


def _diffused(block: bytes) -> bytes:
    size = hashlib.sha256().digest_size
    pieces = [
        hashlib.sha256(struct.pack(">I", number) + block[at : at + size]).digest()[: len(block) - at]
        for number, at in enumerate(range(0, len(block), size))
    ]
    return b"".join(pieces)


def _xor(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "big") ^ int.from_bytes(other, "big")).to_bytes(len(one), "big")


def _encrypted(key: bytes, plain: bytes) -> bytes:
    # Loaded late: most hosts never need it.
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    sectors: list[bytes] = []
    for number, at in enumerate(range(0, len(plain), _SECTOR)):
        work = Cipher(algorithms.AES(key), modes.XTS(number.to_bytes(16, "little"))).encryptor()
        sectors.append(work.update(plain[at : at + _SECTOR]) + work.finalize())
    return b"".join(sectors)
