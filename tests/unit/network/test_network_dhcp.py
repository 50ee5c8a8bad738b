# SPDX-License-Identifier: Apache-2.0
"""DHCP answers, message by message."""

from __future__ import annotations

import socket
import struct

from hypothesis import given
from hypothesis import strategies as st

from cumulet.services.network.drivers.fabric import dhcp
from cumulet.services.network.types import Route

MAC = "fa:16:3e:00:00:05"
OFFER = dhcp.Offer(
    address="10.0.0.5", prefix=24, gateway="10.0.0.1", dns=["192.0.2.53"],
    routes=[Route(destination="192.0.2.0/25", nexthop="10.0.0.9")], mtu=1450, name="host-10-0-0-5",
)  # fmt: skip
TABLE = dhcp.Table(server="10.0.0.2", offers={MAC: OFFER})


def message(kind: int, *, mac: str = MAC, own: str = "0.0.0.0", options: bytes = b"") -> bytes:
    head = struct.pack("!BBBBIHH", 1, 1, 6, 0, 0xABCD, 0, 0) + socket.inet_aton(own) + bytes(12)
    return (
        head
        + bytes.fromhex(mac.replace(":", ""))
        + bytes(202)
        + b"\x63\x82\x53\x63\x35\x01"
        + bytes([kind])
        + options
        + b"\xff"
    )


def option(code: int, value: str) -> bytes:
    return bytes([code, 4]) + socket.inet_aton(value)


def told(reply: bytes) -> tuple[int, str, dict[int, bytes]]:
    options = dhcp.parse_options(reply[240:])
    return options[53][0], socket.inet_ntoa(reply[16:20]), options


def test_a_discovery_is_offered_everything():
    reply = dhcp.answer(message(1), TABLE)
    assert reply is not None
    kind, address, options = told(reply)
    assert (kind, address, reply[4:8]) == (2, "10.0.0.5", struct.pack("!I", 0xABCD))
    assert options[1] == b"\xff\xff\xff\x00"
    assert options[12] == b"host-10-0-0-5"
    assert options[121] == bytes([25, 192, 0, 2, 0, 10, 0, 0, 9])


def test_a_request_for_another_address_is_refused():
    reply = dhcp.answer(message(3, options=option(50, "10.0.0.7")), TABLE)
    assert reply is not None
    assert told(reply)[:2] == (6, "0.0.0.0")


def test_a_request_to_another_server_is_none_of_ours():
    assert dhcp.answer(message(3, options=option(54, "10.0.0.3")), TABLE) is None


def test_a_renewal_is_granted():
    reply = dhcp.answer(message(3, own="10.0.0.5"), TABLE)
    assert reply is not None
    assert told(reply)[:2] == (5, "10.0.0.5")


def test_strangers_are_not_answered():
    assert dhcp.answer(message(1, mac="fa:16:3e:00:00:06"), TABLE) is None
    assert dhcp.answer(message(7), TABLE) is None, "a release needs no answer"


def test_routes_too_many_for_one_option_go_on_in_the_next():
    routes = [Route(destination=f"10.{number}.0.0/24", nexthop="10.0.0.9") for number in range(40)]
    reply = dhcp.answer(message(1), dhcp.Table(server="10.0.0.2", offers={MAC: dhcp.Offer(
        address="10.0.0.5", prefix=24, gateway=None, dns=[], routes=routes, mtu=1450, name="",
    )}))  # fmt: skip
    assert reply is not None
    assert reply.count(bytes([121, 255])) == 1


@given(st.binary(max_size=600))
def test_noise_is_survived(data: bytes):
    dhcp.answer(data, TABLE)
    dhcp.answer(message(1)[:240] + data, TABLE)
