# SPDX-License-Identifier: Apache-2.0
"""A whole cloud whose servers are libvirt's: reached by SSH through its networks, while the agent dies below them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.libvirtd import daemon
from support.real_cloud import RealCloud, until

pytestmark = [
    pytest.mark.guest,
    pytest.mark.root,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
    pytest.mark.skipif(os.environ.get("LIBVIRT") != "all", reason="long: make libvirt"),
]


@pytest.fixture
def cloud() -> Iterator[RealCloud]:
    folder = Path(tempfile.mkdtemp(prefix="cml-"))
    with daemon() as libvirtd:
        running = RealCloud(folder / "s")
        running.use({"compute.driver": "libvirt", "compute.libvirt_uri": libvirtd.uri, "compute.accelerator": "tcg"})
        try:
            running.command("up")
            yield running
        finally:
            running.command("down")
    shutil.rmtree(folder)


def test_a_server_is_reached_and_outlives_its_agent(cloud: RealCloud) -> None:
    # Boots one, gives it a floating address, and runs a command in it.
    assert "Linux" in cloud.command("verify")
    with cloud.connect() as api:
        server = api.compute.create_server(
            name="one",
            image_id=api.image.find_image("cumulet").id,
            flavor_id=api.compute.find_flavor("m1.micro").id,
            networks=[{"uuid": api.network.find_network("private").id}],
        )
        until("the server", lambda: api.compute.get_server(server.id).status == "ACTIVE")
        port = next(iter(api.network.ports(device_id=server.id)))
        cloud.kill("agent")
        until("the console", lambda: "login" in api.compute.get_server_console_output(server.id)["output"])
        assert api.compute.get_server(server.id).status == "ACTIVE"
        until("the port", lambda: api.network.get_port(port.id).status == "ACTIVE")
        api.compute.delete_server(server.id)
        until("its end", lambda: api.compute.find_server(server.id) is None)
