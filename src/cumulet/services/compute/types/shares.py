# SPDX-License-Identifier: Apache-2.0
"""How much of a host is for servers, as its operator has it."""

from __future__ import annotations

import msgspec


class Share(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of one class of a host's resources: `reserved` stays with the host, the rest is given out `ratio` times.

    A `ratio` of 0 means `initial` when the host is new, and from then on whatever users of placement say.
    `reserved` is in the class's unit.
    """

    ratio: float = 0.0
    initial: float = 1.0
    reserved: int = 0

    @property
    def planned(self) -> float:
        """How often the host itself would give it out."""
        return self.ratio or self.initial
