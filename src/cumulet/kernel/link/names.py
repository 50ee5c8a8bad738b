# SPDX-License-Identifier: Apache-2.0
"""The words that both ends of a link must agree on. None of them may ever change its meaning (docs/develop/link.md)."""

from __future__ import annotations

import re

SOCKET_NAME = "link.sock"

REPORT = "link.report"  # a host's first call: the whole truth about itself
RENEW = "link.renew"  # a host asks for its next certificate
RELAY = "link.relay"  # a replica asks another one to call a host
BADGE = "link.badge"  # a process that serves those of other hosts asks for its badge, and which hosts there are
ASKS = "asks"  # in the hello of a process that only asks: what it is called
REFUSED = "link.refused"  # an event: why the control plane cuts a link

NOT_CONNECTED = "HostNotConnected"
LINK_LOST = "LinkLost"

CONTROL_NAME = "control.cumulet.internal"  # in the certificate of every replica, whatever its address is
BADGE_NAME = "peers.cumulet.internal"  # in every badge

TOKEN_PREFIX = "cumulet1"  # noqa: S105 - a join token is PREFIX.FINGERPRINT.SECRET

READ_LIMIT = 1024 * 1024  # bytes that a stream reads ahead

MEMBERSHIP = "link"  # the folder of what a joined host keeps, in the agent's part of the state directory

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?")


class NotJoined(Exception):
    """This machine cannot dial as a member of a cloud; the message says why and what mends it."""


def is_host_name(name: object) -> bool:
    """Whether a host may be called so: letters, digits, dots, dashes and underscores, 64 at most."""
    return isinstance(name, str) and _HOST_NAME.fullmatch(name) is not None


def door_name(host: str) -> str:
    """The name in the certificate of a host's door for bytes; no replica is called so."""
    return f"{host}.host.cumulet.internal"
