# SPDX-License-Identifier: Apache-2.0
"""Consoles of servers, on every driver: a picture over VNC, and a serial port for one at a time."""

from __future__ import annotations

import socket

import pytest

from cumulet.kernel.errors import Conflict, NotFound
from cumulet.kernel.ids import new_uuid
from cumulet.services.compute.types import ServerSpec
from support.rfb import Display
from support.waiting import until


def test_a_server_is_seen_and_spoken_to(hypervisor, supplies):
    image_id = new_uuid()
    supplies.add_image(image_id)
    spec = ServerSpec(id=new_uuid(), vcpus=1, ram=32, image_id=image_id, image_format="raw")
    hypervisor.build(spec)
    assert hypervisor.displays(spec.id) == ("vnc", "serial")
    with pytest.raises(Conflict):
        hypervisor.open_display(spec.id, "vnc")
    hypervisor.start(spec)
    until(lambda: hypervisor.console(spec.id, None))
    assert hypervisor.displays(spec.id) == ("vnc", "serial")
    check_picture(hypervisor, spec)
    check_serial(hypervisor, spec)
    with pytest.raises(Conflict):
        hypervisor.open_display(spec.id, "spice")
    said = hypervisor.console(spec.id, None)
    hypervisor.reboot(spec, soft=False, timeout=0)
    until(lambda: len(hypervisor.console(spec.id, None)) > len(said))
    check_picture(hypervisor, spec)
    hypervisor.stop(spec.id, 0)
    with pytest.raises(Conflict):
        hypervisor.open_display(spec.id, "serial")


def check_picture(hypervisor, spec):
    """Two may look at once."""
    with hypervisor.open_display(spec.id, "vnc") as one, hypervisor.open_display(spec.id, "vnc") as other:
        for stream in (one, other):
            display = Display.of_socket(stream)
            assert spec.id in display.name
            assert display.picture()


def check_serial(hypervisor, spec):
    """Who comes later takes the port over; what is written there stands in the log too."""
    with hypervisor.open_display(spec.id, "serial") as one:
        one.settimeout(60)
        with hypervisor.open_display(spec.id, "serial") as other:
            assert ended(one)
            other.settimeout(60)
            other.sendall(b"hello\r\n")
            assert hypervisor.console(spec.id, None)


def ended(stream: socket.socket) -> bool:
    while stream.recv(4096):
        continue
    return True


def test_consoles_of_unknown_servers(hypervisor):
    for ask in (lambda: hypervisor.displays(new_uuid()), lambda: hypervisor.open_display(new_uuid(), "vnc")):
        with pytest.raises(NotFound):
            ask()
