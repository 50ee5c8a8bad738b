# SPDX-License-Identifier: Apache-2.0
"""Servers on two hosts are neighbours: real QEMU, real tunnels, an agent that has joined over TLS."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.namespace import with_prefix
from support.real_cloud import until
from support.two_hosts import FIRST, SECOND, TwoHosts

pytestmark = [
    pytest.mark.guest,
    pytest.mark.root,
    pytest.mark.timeout(900),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]
CIDR = "192.168.78.0/24"


@pytest.fixture(scope="module")
def cloud() -> Iterator[TwoHosts]:
    """Two hosts; nothing of them may be left at the end."""
    folder = Path(tempfile.mkdtemp(prefix="cml-"))
    running = TwoHosts(folder / "s")
    try:
        running.up()
        yield running
    finally:
        running.down()
    for state in (running.settings.state, running.second_state):
        assert with_prefix(names.fabric(names.suffix(state / "agent"))) == []
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def place(cloud: TwoHosts) -> Iterator[Place]:
    with cloud.connect() as api:
        made = Place(cloud, api)
        yield made
        made.close()


class Place:
    """A network with a router, and one server on each host; the second one's has a floating IP."""

    def __init__(self, cloud: TwoHosts, api: Any) -> None:
        self.api = api
        self._key = cloud.settings.state.parent / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self._key], check=True)
        api.create_keypair("two", self._key.with_suffix(".pub").read_text())
        self.network = api.network.create_network(name="two")
        subnet = api.network.create_subnet(network_id=self.network.id, ip_version=4, cidr=CIDR)
        outside = api.network.find_network("public")
        self.router = api.network.create_router(external_gateway_info={"network_id": outside.id})
        api.network.add_interface_to_router(self.router, subnet=subnet.id)
        self.subnet = subnet
        group = api.network.find_security_group("default", project_id=api.current_project_id)
        for words in ({"protocol": "icmp"}, {"protocol": "tcp", "port_range_min": 22, "port_range_max": 22}):
            api.network.create_security_group_rule(security_group_id=group.id, direction="ingress", **words)
        self.one, self.two = (self._boot(host) for host in (FIRST, SECOND))
        port = next(iter(api.network.ports(device_id=self.two.id)))
        self.floating = api.network.create_ip(floating_network_id=outside.id, port_id=port.id)

    def _boot(self, host: str) -> Any:
        server = self.api.compute.create_server(
            name=f"on-{host}",
            image_id=self.api.image.find_image("cumulet").id,
            flavor_id=self.api.compute.find_flavor("m1.micro").id,
            networks=[{"uuid": self.network.id}],
            key_name="two",
            availability_zone=f"nova:{host}",
        )
        return until(f"the server on {host}", lambda: self._settled(server.id))

    def _settled(self, server_id: str) -> Any:
        server = self.api.compute.get_server(server_id)
        assert server.status != "ERROR", server.fault
        return server if server.status == "ACTIVE" else None

    def fixed(self, server: Any) -> str:
        return next(item["addr"] for item in server.addresses["two"] if item["OS-EXT-IPS:type"] == "fixed")

    def inside(self, command: str) -> str | None:
        """What `command` says in the second host's guest, reached by its floating IP; None where it fails."""
        options = ["-i", str(self._key), "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        options += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=5", "-o", "LogLevel=ERROR"]
        words = ["ssh", *options, f"cirros@{self.floating.floating_ip_address}", command]
        try:
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
        except subprocess.TimeoutExpired:
            return None
        return done.stdout if done.returncode == 0 else None

    def attached(self, volume: str, server: Any) -> str:
        """Attach the volume; the device that the guest sees."""
        made = self.api.compute.create_volume_attachment(server.id, volume_id=volume)
        self.volume_is(volume, "in-use")
        return str(made.device)

    def detach(self, volume: str, server: Any) -> None:
        self.api.compute.delete_volume_attachment(server.id, volume)
        self.volume_is(volume, "available")

    def volume_is(self, volume: str, status: str) -> None:
        until(f"the volume {status}", lambda: self.api.block_storage.get_volume(volume).status == status)

    def close(self) -> None:
        self.api.network.delete_ip(self.floating)
        for server in (self.one, self.two):
            self.api.compute.delete_server(server)
        until("the servers' end", lambda: not list(self.api.compute.servers(details=False)))
        self.api.network.remove_interface_from_router(self.router, subnet=self.subnet.id)
        self.api.network.delete_router(self.router)
        until("the network's removal", lambda: self.api.delete_network(self.network.id))


def test_servers_are_where_they_were_asked_for(place: Place):
    hosts = {place.api.compute.get_server(server.id).hypervisor_hostname for server in (place.one, place.two)}
    assert hosts == {FIRST, SECOND}
    shown = place.api.network.get_network(place.network.id)
    assert (shown.provider_network_type, shown.provider_segmentation_id is not None) == ("vxlan", True)


def test_the_server_on_the_other_host_is_reached_from_outside(place: Place, cloud: TwoHosts):
    said = until("a login with the key from metadata", lambda: place.inside("cat /sys/class/net/eth0/mtu"), 300)
    assert said.strip() == "1450", cloud.last_words()


def test_servers_on_different_hosts_are_neighbours(place: Place):
    until("a login", lambda: place.inside("true") is not None, 300)
    address = place.fixed(place.one)
    until("an answer from the other host's server", lambda: place.inside(f"ping -c 1 -W 2 {address}"), 300)
    assert "0% packet loss" in str(place.inside(f"ping -c 3 -s 1422 -M do {address}")), "whole frames fit"


def test_a_volume_of_one_host_is_in_a_server_of_the_other(place: Place, cloud: TwoHosts):
    """Over NBD with TLS between the two, through the end of the agent that exports it, and back again at home."""
    storage = place.api.block_storage
    back_end = next(each.host for each in storage.services(binary="cinder-volume") if each.host.startswith(SECOND))
    storage.put("/os-services/disable", json={"binary": "cinder-volume", "host": back_end}, microversion="3.70")
    volume = place.api.create_volume(1, name="far", wait=True, timeout=120).id
    storage.put("/os-services/enable", json={"binary": "cinder-volume", "host": back_end}, microversion="3.70")
    until("a login", lambda: place.inside("true") is not None, 300)
    device = place.attached(volume, place.two)
    written = f"sudo sh -c 'printf first | dd of={device} conv=fsync'"
    assert until("a write", lambda: place.inside(written) is not None), cloud.last_words()
    cloud.kill("agent")
    assert place.inside(f"sudo sh -c 'printf second | dd of={device} seek=8 conv=fsync'") is not None
    place.detach(volume, place.two)
    raw = cloud.settings.state.parent / "raw"
    home = cloud.settings.state / "agent" / "block_storage" / "volumes" / f"{volume}.qcow2"
    words = ["qemu-img", "convert", "-f", "qcow2", "-O", "raw", home, raw]
    until("the export's end", lambda: subprocess.run(words, check=False).returncode == 0)
    with raw.open("rb") as content:
        assert content.read(4096 + 6) == b"first".ljust(4096, b"\0") + b"second"
    place.attached(volume, place.one)
    place.detach(volume, place.one)
    place.api.delete_volume(volume, wait=True)


def test_the_network_outlives_the_agent(place: Place, cloud: TwoHosts):
    until("a login", lambda: place.inside("true") is not None, 300)
    cloud.stop_second(signal.SIGKILL)
    assert place.inside(f"ping -c 1 -W 2 {place.fixed(place.one)}") is not None
    cloud.start_second()
    assert place.inside(f"ping -c 1 -W 2 {place.fixed(place.one)}") is not None


def test_deleted_networks_leave_both_hosts(place: Place, cloud: TwoHosts):
    place.close()
    place.close = lambda: None  # type: ignore[method-assign]

    def rests() -> bool:
        states = (cloud.settings.state, cloud.second_state)
        found = [space.name for state in states for space in with_prefix(names.fabric(names.suffix(state / "agent")))]
        return not any(name.count("-") > 1 for name in found)

    until("empty fabrics", rests)
