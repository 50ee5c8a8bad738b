# SPDX-License-Identifier: Apache-2.0
"""How volumes of a type are encrypted, and what a host is told of it."""

from __future__ import annotations

from datetime import datetime

import msgspec

LUKS = "luks"
HEADER = 2 << 20  # bytes of a volume that its container needs for itself

# What a provider was called when it was a class of Nova's or of os-brick's; None encrypts nothing.
LEGACY_PROVIDERS: dict[str, str | None] = {
    "nova.volume.encryptors.luks.LuksEncryptor": LUKS,
    "nova.volume.encryptors.cryptsetup.CryptsetupEncryptor": "plain",
    "nova.volume.encryptors.nop.NoopEncryptor": None,
    "os_brick.encryptors.luks.LuksEncryptor": LUKS,
    "os_brick.encryptors.cryptsetup.CryptsetupEncryptor": "plain",
    "os_brick.encryptors.nop.NoopEncryptor": None,
    "LuksEncryptor": LUKS,
    "CryptsetupEncryptor": "plain",
    "NoOpEncryptor": None,
}
# Which keys (bits) containers can have, by the cipher as dm-crypt names it.
CIPHERS = {"aes-xts-plain64": (256, 512)}


class TypeEncryption(msgspec.Struct, frozen=True, kw_only=True):
    """How volumes of a type are encrypted, as its administrator says; `key_size` in bits."""

    encryption_id: str
    provider: str
    control_location: str
    cipher: str | None = None
    key_size: int | None = None
    created_at: datetime
    updated_at: datetime | None = None

    @property
    def format(self) -> str | None:
        """What stands behind the provider's name."""
        return LEGACY_PROVIDERS.get(self.provider, self.provider)


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """A container that a host is to make: `cipher` (`aes-xts-plain64`), `key_size` in bits, and what opens it."""

    cipher: str
    key_size: int
    passphrase: str

    def __repr__(self) -> str:
        return f"Container(cipher={self.cipher!r}, key_size={self.key_size})"


class Recoding(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a content: the `passphrase` of the container that it is in, the `container` that it is to be in.

    "" and None: none.
    """

    passphrase: str = ""
    container: Container | None = None

    def __repr__(self) -> str:
        return f"Recoding(container={self.container!r})"
