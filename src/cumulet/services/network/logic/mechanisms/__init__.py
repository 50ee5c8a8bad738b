# SPDX-License-Identifier: Apache-2.0
"""The drivers that say how ports are plugged in on hosts: those of this package, and those that others bring."""

from __future__ import annotations

from functools import cache

from cumulet.kernel import plugins
from cumulet.kernel.errors import Unsupported
from cumulet.services.network.contract import MechanismDriver
from cumulet.services.network.logic.mechanisms import fabric, sriov, vhostuser

GROUP = "cumulet.network.mechanism_drivers"

_OWN: dict[str, MechanismDriver] = {
    "fabric": fabric.Fabric(),
    "sriov": sriov.Sriov(),
    "vhostuser": vhostuser.VhostUser(),
}


@cache
def find(name: str) -> MechanismDriver:
    """The driver of this name; Unsupported where nobody brings one.

    An entry point of another package is the driver's class, which is made without arguments.
    """
    if name in _OWN:
        return _OWN[name]
    try:
        found: MechanismDriver = plugins.load(GROUP, name)()
    except LookupError as error:
        raise Unsupported(f"There is no driver {name} for ports.") from error
    return found
