# SPDX-License-Identifier: Apache-2.0
"""What every group of settings is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec

# A path that nobody has set.
UNSET = Path()

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Limit = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]


def decode(kind: type, value: Any) -> Any:
    """What is no plain data: paths, in which `~` is the user's own folder."""
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise ValueError("expected a path")


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings."""
