# SPDX-License-Identifier: Apache-2.0
"""Servers' ports that are no taps of the fabric: devices of the host's, and ends of a switch in user space."""

from __future__ import annotations

import msgspec

VIRTUAL, WHOLE, SOCKET = "hw_veb", "hostdev_physical", "vhostuser"  # as `binding:vif_type`
PLUGGED = (VIRTUAL, WHOLE, SOCKET)
MACVTAP = "macvtap"  # the vnic type of a virtual function on which a tap stands


class PlugState(msgspec.Struct, kw_only=True, frozen=True):
    """Such a port bound to the host. `kind` is one of PLUGGED.

    `device` is the PCI address of the virtual function, or of the whole card, `socket` the path of the one where switch
    and hypervisor meet. With `tap` the hypervisor gets a tap on the device instead of itself. `vlan` 0 is untagged.
    What is sent from another MAC is dropped where it is `checked`; a `trusted` guest may change what its device hears.
    `least` and `most` are what it may send, in Mbit/s (0: nothing is said). `physical` is the physical network.
    """

    id: str
    kind: str
    mac: str
    physical: str = ""
    vlan: int = 0
    mtu: int = 0
    up: bool = True
    device: str = ""
    tap: bool = False
    checked: bool = True
    trusted: bool = False
    least: int = 0
    most: int = 0
    socket: str = ""
