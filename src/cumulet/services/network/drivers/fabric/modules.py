# SPDX-License-Identifier: Apache-2.0
"""The one kernel module that does not come by itself, loaded so that the host's own bridges notice nothing."""

from __future__ import annotations

import contextlib
from pathlib import Path

from cumulet.kernel.run import CommandFailed, run
from cumulet.services.network.drivers.fabric.links import sysctl

MODULE = "br_netfilter"
_SWITCHES = Path("/proc/sys/net/bridge")


def ensure() -> None:
    """Load br_netfilter where it is missing; where that fails, the probe will tell.

    Once loaded, it would show the bridged packets of every namespace to the firewall there, the host's included. So its
    switches are turned off at once where the machine had none before; the fabric turns them on in its own namespace.
    """
    if _SWITCHES.exists():
        return
    with contextlib.suppress(CommandFailed):
        run(["modprobe", MODULE])
        for family in ("iptables", "ip6tables", "arptables"):
            sysctl(f"net/bridge/bridge-nf-call-{family}", "0")


def can_be_loaded() -> bool:
    """Whether the module is there, loaded or not; changes nothing."""
    if _SWITCHES.exists():
        return True
    try:
        run(["modprobe", "--dry-run", MODULE])
    except CommandFailed:
        return False
    return True
