# SPDX-License-Identifier: Apache-2.0
"""What the doctor says of the way to other hosts, asked over a wire that is narrowed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from cumulet.kernel.doctor import Finding
from cumulet.kernel.link.host import Journal
from cumulet.services.network.doctor import probes
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.paths import carries
from cumulet.services.network.types import HostState, RemoteState
from cumulet.settings import Settings
from cumulet.settings.network import Network

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces")]
NEAR, FAR = "198.18.8.1", "198.18.8.2"


@pytest.fixture
def hosts() -> Iterator[tuple[Namespace, Namespace]]:
    mark = secrets.token_hex(3)
    pair = (Namespace(f"lab-{mark}-near"), Namespace(f"lab-{mark}-far"))
    for space in pair:
        space.create()

    def lay() -> None:
        with Links() as links:
            links.cable("wire0", "wire0", pair[1], mtu=1500)

    pair[0].visit(lay)
    for space, own in zip(pair, (NEAR, FAR), strict=True):
        space.visit(lambda own=own: narrow(1500, own))
    yield pair
    for space in pair:
        space.delete()


def narrow(mtu: int, own: str) -> None:
    with Links() as links:
        links.settle("lo")
        links.settle("wire0", mtu=mtu)
        links.addresses("wire0", [f"{own}/24"])


def examined(space: Namespace, state: Path) -> Finding:
    settings = Settings(state=state, network=Network())
    probe = next(one for one in probes(settings) if one.name == "network: other hosts")
    return space.visit(probe.check)


def test_a_narrow_way_is_told(hosts: tuple[Namespace, Namespace], tmp_path: Path):
    near, far = hosts
    assert "no network" in examined(near, tmp_path).detail
    remote = RemoteState(id="p", network_id="n", mac="fa:16:3e:00:00:01", endpoint=FAR)
    folder = tmp_path / "agent" / "journal" / "network"
    Journal(folder).put("state", msgspec.to_builtins(HostState(remotes=[remote])))
    assert examined(near, tmp_path).status == "ok"
    for space, own in ((near, NEAR), (far, FAR)):
        space.visit(lambda own=own: narrow(1400, own))
    found = examined(near, tmp_path)
    assert (found.status, "1500" in found.detail, "network.mtu" in found.remedy) == ("degraded", True, True)
    assert near.visit(lambda: carries(FAR, 1400))
    far.visit(lambda: narrow(1400, "198.18.8.3"))
    assert "no answer" in examined(near, tmp_path).detail
