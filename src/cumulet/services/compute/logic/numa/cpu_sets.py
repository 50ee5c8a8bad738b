# SPDX-License-Identifier: Apache-2.0
"""Sets of processors in flavors' and images' words: `0-3,^2,8`."""

from __future__ import annotations

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.types import read_cpus


def parse(text: str) -> set[int]:
    """The processors that are named and not taken out by `^`. Invalid, in Nova's words, for what is no set."""
    try:
        return read_cpus(text)
    except ValueError as error:
        raise Invalid(str(error), code="Invalid") from None


def of_mask(text: str, count: int) -> set[int]:
    """The same of a mask over `count` processors: one that begins with `^` takes out of them all."""
    return parse(f"0-{count - 1},{text}" if text.strip().startswith("^") else text)
