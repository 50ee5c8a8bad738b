# SPDX-License-Identifier: Apache-2.0
"""Whether a network is asked to carry frames of guests that have tags of their own."""

from __future__ import annotations

from functools import partial

from cumulet.services.network.api import validators as check
from cumulet.services.network.api.attributes import ABSENT, Attribute
from cumulet.services.network.api.parts.base import Part, columns

_flag = partial(Attribute, post=True, default=ABSENT, convert=check.boolean)

TAGGED_FRAMES = Part(
    attributes={"vlan_transparent": _flag(), "qinq": _flag()}, render=columns("vlan_transparent", "qinq")
)
