# SPDX-License-Identifier: Apache-2.0
"""The keys that seal tokens and secrets: a folder of numbered files, as Keystone's key repositories are.

The file with the highest number is the primary key, which seals; all of them open. `0` is the staged key, which the
next rotation makes primary: by then every process knows it. Files are mode 0600, the folder 0700.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from cryptography.fernet import Fernet, MultiFernet

from cumulet.kernel.secrets import write_private
from cumulet.settings import Settings

KEEP = 3  # keys that stay after a rotation: primary, staged, and one that opens what the last primary sealed


class KeyRing:
    """One folder of keys, read again when it has changed; safe in any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamp = -1
        self._fernet: MultiFernet | None = None

    def fernet(self) -> MultiFernet:
        """Seals with the primary key, opens with any."""
        stamp = self._folder.stat().st_mtime_ns
        if self._fernet is None or stamp != self._stamp:
            numbers = sorted(_numbers(self._folder), reverse=True)
            self._fernet = MultiFernet([Fernet((self._folder / str(number)).read_bytes()) for number in numbers])
            self._stamp = stamp
        return self._fernet


def tokens(settings: Settings) -> KeyRing:
    """The keys that seal tokens."""
    return _ring(tokens_folder(settings))


def credentials(settings: Settings) -> KeyRing:
    """The keys that seal stored credentials."""
    return _ring(credentials_folder(settings))


def tokens_folder(settings: Settings) -> Path:
    return settings.state / "keys" / "fernet"


def credentials_folder(settings: Settings) -> Path:
    return settings.state / "keys" / "credential"


def ensure(folder: Path) -> None:
    """Make a staged and a primary key where there are none."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    have = _numbers(folder)
    for number in (0, 1):
        if number not in have and (number == 0 or max(have, default=0) == 0):
            _write(folder, number)


def rotate(folder: Path, keep: int = KEEP) -> int:
    """Make the staged key primary and stage a new one; keeps the `keep` newest keys. Returns the primary's number."""
    ensure(folder)
    primary = max(_numbers(folder)) + 1
    (folder / "0").rename(folder / str(primary))
    _write(folder, 0)
    for number in sorted(_numbers(folder) - {0}, reverse=True)[max(keep - 1, 1) :]:
        (folder / str(number)).unlink()
    return primary


@cache
def _ring(folder: Path) -> KeyRing:
    return KeyRing(folder)


def _numbers(folder: Path) -> set[int]:
    return {int(path.name) for path in folder.iterdir() if path.name.isdigit()}


def _write(folder: Path, number: int) -> None:
    write_private(folder / str(number), Fernet.generate_key().decode("ascii"))
