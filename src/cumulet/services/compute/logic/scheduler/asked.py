# SPDX-License-Identifier: Apache-2.0
"""What is to be placed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from cumulet.services.compute.logic.parts import WantedParts
from cumulet.services.compute.types import Flavor, Server, ServerGroup
from cumulet.settings.scheduler import Scheduler


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A server that needs a host. `taken` are the hosts of the servers that its hints name, by their ids.

    `members` are the hosts of the other members of its group, one entry a member, `parts` what of a host it is to have
    for itself.
    """

    server: Server
    flavor: Flavor
    settings: Scheduler
    group: ServerGroup | None = None
    members: Sequence[str] = ()
    taken: Mapping[str, str] = {}
    parts: WantedParts = WantedParts()

    @property
    def hints(self) -> dict[str, Any]:
        return self.server.scheduler_hints

    @property
    def image(self) -> Mapping[str, str]:
        """The properties of the image that the server is made of."""
        words: Mapping[str, str] = self.server.image.get("properties", {})
        return words

    def hinted(self, name: str) -> list[str]:
        return hinted(self.server, name)


def hinted(server: Server, name: str) -> list[str]:
    """A hint that is one word or several."""
    value = server.scheduler_hints.get(name)
    return [value] if isinstance(value, str) else [str(each) for each in value or ()]
