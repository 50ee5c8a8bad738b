# SPDX-License-Identifier: Apache-2.0
"""Virtual functions of network cards (SR-IOV), and whole cards, as the kernel's drivers of the cards have them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from cumulet.kernel.errors import Conflict
from cumulet.services.network.types.plugs import VIRTUAL, WHOLE, PlugState

SYS = Path("/sys")
_AUTO, _DOWN = 0, 2  # IFLA_VF_LINK_STATE: as the card's, and down
_NOBODY = "00:00:00:00:00:00"

# Sets what the card's driver knows of one of its functions: the card's device, and pyroute2's words for `vf`.
SetFunction = Callable[[str, dict[str, Any]], None]


class Cards:
    """`plugs.Plugger` on the kernel's netlink; `mappings` are the devices of cards by physical network.

    A function gets its MAC, its VLAN, and what its guest may do through its card, which enforces it. Whole cards are
    left as they are. A card's driver that knows no minimum rates, or no trust, is asked for neither.

    LIMITATIONS: the fabric's security groups do not see what passes here.
    """

    kinds = frozenset({VIRTUAL, WHOLE})

    def __init__(
        self, mappings: Mapping[str, list[str]], root: Path = SYS, set_function: SetFunction | None = None
    ) -> None:
        self._mappings = mappings
        self._root = root
        self._set = set_function or _by_netlink
        self._done: dict[str, PlugState] = {}

    def offers(self) -> dict[str, Any]:
        """Those of the cards that are there."""
        found = {
            physical: there
            for physical, devices in self._mappings.items()
            if (there := [name for name in devices if (self._root / "class/net" / name / "device").exists()])
        }
        return {"device_mappings": found} if found else {}

    def plug(self, port: PlugState) -> bool:
        if port.kind == WHOLE:
            self._folder(port)
            return False
        card, number = self._function(port)
        self._set(card, {"vf": number, "mac": port.mac, "vlan": port.vlan})
        self._set(card, {"vf": number, "spoofchk": int(port.checked)})
        self._set(card, {"vf": number, "link_state": _AUTO if port.up else _DOWN})
        before = self._done.get(port.device)
        if port.trusted or (before is not None and before.trusted):
            self._set(card, {"vf": number, "trust": int(port.trusted)})
        if port.least or port.most or (before is not None and (before.least or before.most)):
            self._set(card, {"vf": number, "rate": {"min_tx_rate": port.least, "max_tx_rate": port.most}})
        self._done[port.device] = port
        return before != port

    def unplug(self, port: PlugState) -> None:
        if port.kind == WHOLE or not (self._root / "bus/pci/devices" / port.device).exists():
            return
        card, number = self._function(port)
        self._set(card, {"vf": number, "mac": _NOBODY, "vlan": 0})
        self._set(card, {"vf": number, "link_state": _AUTO})
        before = self._done.pop(port.device, port)
        if before.trusted:
            self._set(card, {"vf": number, "trust": 0})
        if before.least or before.most:
            self._set(card, {"vf": number, "rate": {"min_tx_rate": 0, "max_tx_rate": 0}})

    def open_tap(self, port: PlugState) -> int:
        """A macvtap that has the function's own device for itself."""
        try:
            return _open(tap_name(port), self._make_tap(port))
        except NetlinkError as error:
            raise Conflict(f"there can be no tap on {port.device}: {error}") from error

    def _make_tap(self, port: PlugState) -> int:
        """The number of the tap's device."""
        below, name = self._device(port), tap_name(port)
        with IPRoute() as ip:
            (lower,) = ip.link_lookup(ifname=below) or [0]
            if not lower:
                raise Conflict(f"the device {below} of {port.device} is not there")
            if not ip.link_lookup(ifname=name):
                ip.link("add", ifname=name, kind="macvtap", link=lower, macvtap_mode="passthru", address=port.mac)
            (index,) = ip.link_lookup(ifname=name)
            ip.link("set", index=lower, state="up")
            ip.link("set", index=index, address=port.mac, state="up", **({"mtu": port.mtu} if port.mtu else {}))
        return int(index)

    def close_tap(self, port: PlugState) -> None:
        with IPRoute() as ip:
            for index in ip.link_lookup(ifname=tap_name(port)):
                ip.link("del", index=index)

    def _folder(self, port: PlugState) -> Path:
        folder = self._root / "bus/pci/devices" / port.device
        if not port.device or "/" in port.device or not folder.exists():
            raise Conflict(f"the host has no device {port.device}")
        return folder

    def _device(self, port: PlugState) -> str:
        """The name of the function's own network device, which it has while no guest has it."""
        found = sorted(each.name for each in (self._folder(port) / "net").glob("*"))
        if not found:
            raise Conflict(f"the device {port.device} has no driver that makes a network device of it")
        return found[0]

    def _function(self, port: PlugState) -> tuple[str, int]:
        """The card's device that a virtual function is of, and its number there."""
        card = self._folder(port) / "physfn"
        for link in sorted(card.glob("virtfn*")):
            if link.resolve().name == port.device:
                for device in sorted((card / "net").glob("*")):
                    return device.name, int(link.name.removeprefix("virtfn"))
        raise Conflict(f"the device {port.device} is no virtual function of a network card")


def tap_name(port: PlugState) -> str:
    return f"mvt{port.id}"[:14]


def _by_netlink(card: str, words: dict[str, Any]) -> None:
    with IPRoute() as ip:
        found = ip.link_lookup(ifname=card)
        try:
            ip.link("set", index=found[0] if found else 0, vf=dict(words))
        except NetlinkError as error:
            said = ", ".join(sorted(words.keys() - {"vf"}))
            raise Conflict(f"{card} does not take {said} of its function {words['vf']}: {error}") from error


def _open(name: str, index: int) -> int:
    """The device that the kernel made of a macvtap; where nobody names it in /dev, by its number."""
    path = Path(f"/dev/tap{index}")
    if not path.exists():
        major, _, minor = (SYS / "class/net" / name / f"macvtap/tap{index}/dev").read_text().strip().partition(":")
        os.mknod(path, 0o600 | 0o020000, os.makedev(int(major), int(minor)))
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)
