# SPDX-License-Identifier: Apache-2.0
"""The usual metadata definitions, a file a namespace, and the reading of such files: ours and Glance's own.

Names, types and values of the properties are those that OpenStack's operators, dashboards and services know. A file is
TOML or JSON, and says what the body of `POST /v2/metadefs/namespaces` says.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from cumulet.kernel.errors import Invalid

FOLDER = Path(__file__).parent

_READERS = {".toml": tomllib.loads, ".json": json.loads}


def read(path: Path = FOLDER) -> list[dict[str, Any]]:
    """What the files of a folder say, by their names, or what one file says; Invalid for one that cannot be read."""
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    found = [_read(file) for file in files if file.suffix in _READERS]
    if not found:
        raise Invalid(f"there are no definitions at {path}: files that end in {' or '.join(_READERS)}")
    return found


def _read(file: Path) -> dict[str, Any]:
    try:
        words = _READERS[file.suffix](file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Invalid(f"{file} cannot be read: {error}") from None
    if not isinstance(words, dict) or not isinstance(words.get("namespace"), str):
        raise Invalid(f"{file} names no namespace")
    return {name: value for name, value in words.items() if value is not None}
