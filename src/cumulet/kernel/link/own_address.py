# SPDX-License-Identifier: Apache-2.0
"""By which address other hosts of the cloud reach this one."""

from __future__ import annotations

import ipaddress
import socket
from urllib.parse import urlsplit

from cumulet.kernel.link.host import Host
from cumulet.kernel.link.names import MEMBERSHIP

_ANYWHERE = "192.0.2.1"  # documentation range (RFC 5737): stands for whatever lies behind the default route
_DISCARD = 9


def own(host: Host, chosen: str) -> str:
    """The host's IPv4 address for other hosts; "" where it has none.

    It is `chosen`, which the settings name, else the one by which a joined host reaches the control plane, else the one
    at which the control plane itself takes links, else that of the default route.
    """
    if chosen:
        return chosen
    if is_member(host):
        return toward(_control_plane(host))
    link = host.settings.link.address or host.settings.link.host
    return link if _is_address(link) else toward(_ANYWHERE)


def is_member(host: Host) -> bool:
    """Whether the host has joined the control plane of another machine."""
    return (host.state / MEMBERSHIP).is_dir()


def toward(target: str) -> str:
    """The address from which packets to the host `target` would leave; "" where none would. Nothing is sent."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((target, _DISCARD))
            return str(probe.getsockname()[0])
    except OSError:
        return ""


def _control_plane(host: Host) -> str:
    # Loaded only where it is needed: a member's certificates come with a library of their own.
    from cumulet.kernel.link.membership import Membership

    return urlsplit(Membership(host.state).urls()[0]).hostname or _ANYWHERE


def _is_address(text: str) -> bool:
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return not address.is_unspecified
