# SPDX-License-Identifier: Apache-2.0
"""The names that OpenStack has given to traits and resource classes, the same in every cloud.

The two lists hold the names of the packages os-traits 3.9 and os-resource-classes 1.1, which the tests compare them
with. They stand here as text since the packages' own import would cost every start forty milliseconds.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).parent
_CUSTOM = re.compile(r"CUSTOM_[A-Z0-9_]+")
_MAX_LENGTH = 255


@cache
def traits() -> frozenset[str]:
    return frozenset(_read("standard_traits.txt"))


@cache
def classes() -> tuple[str, ...]:
    """In the order in which they came to be."""
    return tuple(_read("standard_classes.txt"))


def is_custom(name: str) -> bool:
    """Whether a trait or class of the cloud's own may have the name."""
    return len(name) <= _MAX_LENGTH and _CUSTOM.fullmatch(name) is not None


def _read(name: str) -> list[str]:
    return (_FOLDER / name).read_text().split()
