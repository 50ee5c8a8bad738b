# SPDX-License-Identifier: Apache-2.0
"""Ports that are no taps, in QEMU's words: devices of the host's, and those of a switch that shares memory."""

from __future__ import annotations

import shutil
import socket
import struct
import subprocess
from pathlib import Path

import msgspec
import pytest

from cumulet.services.compute.drivers.qemu import numa
from cumulet.services.compute.drivers.qemu.command_line import Inheritance, Machine, command_line
from cumulet.services.compute.types import GuestNode, GuestNodes, Parts, Passed, PortSpec, ServerSpec
from support.waiting import until

TAP = PortSpec(id="p1", mac="fa:16:3e:00:00:01")
GET_FEATURES = 1  # the first thing that QEMU says to a vhost-user switch
SPEC = ServerSpec(id="9a438d88-10c6-4bcd-8b5b-5b6e25e1346f", vcpus=1, ram=64, ports=[TAP])


def words(spec: ServerSpec, memory: list[str]) -> list[str]:
    sockets = {"control.sock": 7, "events.sock": 8, "serial.sock": 9}
    inherited = Inheritance(sockets=sockets, taps={"p1": [10]})
    return command_line(spec, Path("/servers/x"), Machine(accelerator="tcg", numa=memory), {}, inherited)


def test_a_passed_device_is_a_device_and_no_tap() -> None:
    passed = PortSpec(id="p2", mac="fa:16:3e:00:00:02", passed=True)
    parts = Parts(devices=[Passed(address="0000:81:10.0", port="p2"), Passed(address="0000:81:10.1", tap=True)])
    text = " ".join(words(msgspec.structs.replace(SPEC, ports=[TAP, passed], parts=parts), []))
    assert "nic-p1" in text
    assert "nic-p2" not in text
    assert "vfio-pci,host=0000:81:10.0" in text
    assert "0000:81:10.1" not in text


def test_nodes_share_their_memory_where_they_have_to() -> None:
    nodes = GuestNodes(nodes=[GuestNode(cpus=[0], memory=64, host_node=0)])
    assert "memory-backend-ram,id=mem0,size=64M,share=on" in numa.arguments(nodes, 4, {}, binds=False, shared=True)
    assert "memory-backend-ram,id=mem0,size=64M" in numa.arguments(nodes, 4, {}, binds=False)


@pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="no QEMU here")
def test_qemu_speaks_to_a_switch(tmp_path: Path) -> None:
    """It takes the words, makes the socket, and begins to agree with whoever comes."""
    path = tmp_path / "vhu,1"
    port = PortSpec(id="p3", mac="fa:16:3e:00:00:03", socket=str(path), queues=2)
    line = words(msgspec.structs.replace(SPEC, ports=[port]), numa.shared_memory(64))
    at = line.index("-chardev", line.index("-smp") if "-smp" in line else 0)
    while f"id=vhu-{port.id}" not in line[at + 1]:
        at = line.index("-chardev", at + 1)
    own = [*line[at : at + 4], *numa.shared_memory(64)]
    argv = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-S", "-m", "64M", "-accel", "tcg", *own]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE) as running:
        try:
            until(lambda: path.exists() or running.poll() is not None)
            assert running.poll() is None, running.stderr and running.stderr.read()
            with socket.socket(socket.AF_UNIX) as switch:
                switch.settimeout(20)
                switch.connect(str(path))
                assert struct.unpack("<I", switch.recv(4))[0] == GET_FEATURES
        finally:
            running.kill()
