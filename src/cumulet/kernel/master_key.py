# SPDX-License-Identifier: Apache-2.0
"""The file with the master keys, under which the vault seals: the first seals, all of them open.

One key a line, base64url of 32 random bytes; the file is for its owner alone. All replicas of a control plane need the
same file. A key that is staged stands last: it opens already and seals only once it has been made the first, so that
the file can be carried to every replica in between.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import secrets
from collections.abc import Collection
from pathlib import Path

from cumulet.kernel import lock
from cumulet.kernel.errors import CumuletError
from cumulet.kernel.secrets import write_private

SIZE = 32  # bytes: AES-256


class NoMasterKey(CumuletError):
    """The file is not there, cannot be read, or lacks a key; the message says what to do. It holds no key."""

    status = 500


class MasterKeys:
    """The keys in the file `path`, read again when it has changed; safe in any thread."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: tuple[tuple[int, int], dict[str, bytes]] | None = None

    def all(self) -> dict[str, bytes]:
        """The keys by their names, the one that seals first. Raises NoMasterKey."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            raise NoMasterKey(
                f"the master key {self._path} is not there: copy it from another replica or from a backup"
            ) from None
        stamp = (found.st_mtime_ns, found.st_ino)
        if self._read is None or self._read[0] != stamp:
            self._read = (stamp, self._parse())
        return self._read[1]

    def are_there(self) -> bool:
        return self._path.exists()

    def make(self) -> None:
        """Make the file with one key, unless it is there."""
        draft = self._path.with_name(f".{self._path.name}.{secrets.token_hex(4)}")
        write_private(draft, _line(secrets.token_bytes(SIZE)))
        try:
            os.link(draft, self._path)
        except FileExistsError:
            return
        finally:
            draft.unlink()

    def stage(self) -> str:
        """Add a key that opens and does not seal yet; its name. Raises lock.Held, NoMasterKey."""
        new = secrets.token_bytes(SIZE)
        with self._alone():
            self._write([*self.all().values(), new])
        return key_name(new)

    def promote(self) -> str:
        """Let the last key seal from now on, a new one where there is only one; its name."""
        with self._alone():
            keys = list(self.all().values())
            last = keys.pop() if len(keys) > 1 else secrets.token_bytes(SIZE)
            self._write([last, *keys])
        return key_name(last)

    def prune(self, used: Collection[str]) -> list[str]:
        """Forget the keys that neither seal nor are in `used`; their names."""
        with self._alone():
            keys = self.all()
            kept = {name: key for at, (name, key) in enumerate(keys.items()) if at == 0 or name in used}
            self._write(list(kept.values()))
        return [name for name in keys if name not in kept]

    def _alone(self) -> contextlib.AbstractContextManager[None]:
        return lock.hold(self._path.with_name(f"{self._path.name}.lock"))

    def _write(self, keys: list[bytes]) -> None:
        write_private(self._path, "".join(_line(key) for key in keys))
        self._read = None

    def _parse(self) -> dict[str, bytes]:
        try:
            lines = self._path.read_text(encoding="ascii").split()
            keys = [base64.b64decode(line, altchars=b"-_", validate=True) for line in lines]
        except (OSError, UnicodeDecodeError, binascii.Error):
            raise NoMasterKey(f"the master key {self._path} cannot be read") from None
        if not keys or any(len(key) != SIZE for key in keys):
            raise NoMasterKey(f"the master key {self._path} holds something else than keys of {SIZE} bytes")
        return {key_name(key): key for key in keys}


def key_name(key: bytes) -> str:
    """What a key is called where it must not be shown."""
    return hashlib.sha256(b"cumulet master key " + key).hexdigest()[:12]


def _line(key: bytes) -> str:
    return base64.urlsafe_b64encode(key).decode("ascii") + "\n"
