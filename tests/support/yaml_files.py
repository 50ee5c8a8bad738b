# SPDX-License-Identifier: Apache-2.0
"""YAML files, read by the parser in C where it is: there are hundreds, and each test process reads them all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(path: Path) -> Any:
    """What the file says."""
    return yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)
