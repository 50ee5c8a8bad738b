# SPDX-License-Identifier: Apache-2.0
"""Files for their owner's eyes alone, and the one that holds the secrets which this cloud made for itself."""

from __future__ import annotations

import json
import os
import threading
import tomllib
from pathlib import Path

from cumulet.kernel import ids, lock

FILE_NAME = "secrets.toml"
_ONE_AT_A_TIME = threading.Lock()


class Secrets:
    """The generated secrets of the cloud in the state directory `state`, by name (`admin_password`)."""

    def __init__(self, state: Path) -> None:
        self._path = state / FILE_NAME

    def get(self, name: str) -> str | None:
        """The secret, or None where it was never made."""
        return self._read().get(name)

    def get_or_make(self, name: str) -> str:
        """The secret; made at random, and durable when this returns, if it was not there. Raises lock.Held."""
        known = self.get(name)
        if known is not None:
            return known
        with lock.hold(self._path.with_suffix(".lock")):
            kept = self._read()
            if name not in kept:
                kept[name] = ids.new_secret()
                # A JSON string is a TOML string too.
                lines = [f"{key} = {json.dumps(value)}\n" for key, value in sorted(kept.items())]
                write_private(self._path, "".join(lines))
        return kept[name]

    def _read(self) -> dict[str, str]:
        try:
            text = self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return {}
        return {name: str(value) for name, value in tomllib.loads(text).items()}


def write_private(path: Path, text: str) -> None:
    """Put `text` into a file that only its owner can read, durably, whole or not at all.

    Threads of one process may write the same file.
    """
    draft = path.with_name(f".{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    with _ONE_AT_A_TIME:
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as sink:
            sink.write(text)
            sink.flush()
            os.fsync(sink.fileno())
        draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
