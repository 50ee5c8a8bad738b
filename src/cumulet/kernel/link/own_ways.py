# SPDX-License-Identifier: Apache-2.0
"""How processes of this machine reach their control plane: by its socket, or as a host that has joined another's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cumulet.kernel.link.names import MEMBERSHIP, SOCKET_NAME
from cumulet.kernel.link.ways import UnixWay, Way

if TYPE_CHECKING:
    from cumulet.kernel.link.membership import Membership
    from cumulet.settings import Settings


def membership(state: Path) -> Membership | None:
    """What a host that has joined keeps in the state directory; the libraries for it are loaded only where it has."""
    agent = state / "agent"
    if not (agent / MEMBERSHIP).is_dir():
        return None
    from cumulet.kernel.link.membership import Membership

    found = Membership(agent)
    return found if found.is_there() else None


def ways(settings: Settings, member: Membership | None) -> Sequence[Way]:
    """One to each replica. Raises NotJoined where the membership is of no use any more."""
    if member is None:
        return [UnixWay(settings.run / SOCKET_NAME)]
    return member.ways(settings.link.silence)
