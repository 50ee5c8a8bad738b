# SPDX-License-Identifier: Apache-2.0
"""Ports' own DHCP options: names and values to bytes."""

from __future__ import annotations

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.services.network.drivers.fabric import dhcp, dhcp_options
from cumulet.services.network.types import DhcpOption

MAC = "fa:16:3e:00:00:05"


def encoded(name: str, value: str, version: int = 4, *tags: str) -> dict[int, bytes]:
    return dhcp_options.encode([DhcpOption(name=name, value=value, version=version)], version, tags)


@pytest.mark.parametrize(
    ("name", "value", "number", "data"),
    [
        ("bootfile-name", "pxelinux.0", 67, b"pxelinux.0"),
        ("67", "pxelinux.0", 67, b"pxelinux.0"),
        ("tftp-server", "198.51.100.9", 66, b"198.51.100.9"),
        ("tftp-server-address", "198.51.100.9,198.51.100.10", 150, b"\xc6\x33\x64\x09\xc6\x33\x64\x0a"),
        ("server-ip-address", "198.51.100.9", 255, b"\xc6\x33\x64\x09"),
        ("ntp-server", "192.0.2.1", 42, b"\xc0\x00\x02\x01"),
        ("domain-name", '"example.org"', 15, b"example.org"),
        ("mtu", "1400", 26, b"\x05\x78"),
        ("time-offset", "-3600", 2, b"\xff\xff\xf1\xf0"),
        ("T1", "2h", 58, b"\0\0\x1c\x20"),
        ("domain-search", "eng.example.org,example.org", 119, b"\3eng\7example\3org\0\7example\3org\0"),
        ("classless-static-route", "10.0.0.0/8,192.0.2.1", 121, b"\x08\x0a\xc0\x00\x02\x01"),
        ("sip-server", "192.0.2.1", 120, b"\1\xc0\x00\x02\x01"),
        ("router", "", 3, b""),
        ("210", "/boot/", 210, b"/boot/"),
        ("43", "01:04:00:00:00:00", 43, b"\1\4\0\0\0\0"),
        ("224", "300", 224, b"\x01\x2c"),
    ],
)
def test_what_dnsmasq_takes_is_taken(name, value, number, data):
    assert encoded(name, value) == {number: data}


@pytest.mark.parametrize(
    ("name", "value", "number", "data"),
    [
        ("dns-server", "[fd00::1],fd00::2", 23, bytes.fromhex("fd00" + "00" * 13 + "01" + "fd00" + "00" * 13 + "02")),
        ("domain-search", "example.org", 24, b"\7example\3org\0"),
        ("bootfile-url", "tftp://[fd00::1]/x", 59, b"tftp://[fd00::1]/x"),
        ("bootfile-param", "a,bc", 60, b"\0\1a\0\2bc"),
        ("ntp-server", "ntp.example.org", 56, b"\0\3\0\x11\3ntp\7example\3org\0"),
        ("information-refresh-time", "infinite", 32, b"\xff" * 4),
        ("59", "http://x/", 59, b"http://x/"),
    ],
)
def test_options_of_ipv6_have_names_of_their_own(name, value, number, data):
    assert encoded(name, value, 6) == {number: data}
    assert encoded(name, value, 6) == dhcp_options.encode(
        [DhcpOption(name=name, value=value, version=6), DhcpOption(name="mtu", value="1400")], 6
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("router", "somewhere"),
        ("mtu", "70000"),
        ("wonder", "1"),
        ("53", "5"),
        ("61", "x"),
        ("0", "x"),
        ("T1", "d"),
    ],
)
def test_what_has_not_its_form_is_left_out(name, value):
    assert encoded(name, value) == {}


def test_boot_programs_are_told_apart():
    options = [
        DhcpOption(name="tag:!ipxe,67", value="undionly.kpxe"),
        DhcpOption(name="tag:ipxe,67", value="http://boot/ipxe"),
    ]
    assert dhcp_options.encode(options, 4) == {67: b"undionly.kpxe"}
    assert dhcp_options.encode(options, 4, ["ipxe"]) == {67: b"http://boot/ipxe"}


def lease(options: list[DhcpOption], asked: bytes = b"") -> tuple[bytes, dict[int, bytes]]:
    offer = dhcp.Offer(
        address="10.0.0.5", prefix=24, gateway="10.0.0.1", dns=["192.0.2.53"], routes=[], mtu=1450, name="x",
        options=options,
    )  # fmt: skip
    head = b"\1\1\6\0abcd" + bytes(20) + bytes.fromhex(MAC.replace(":", "")) + bytes(202) + b"\x63\x82\x53\x63"
    reply = dhcp.answer(head + b"\x35\1\1" + asked + b"\xff", dhcp.Table(server="10.0.0.2", offers={MAC: offer}))
    assert reply is not None
    return reply, dhcp.parse_options(reply[240:])


def test_a_ports_options_go_before_the_subnets():
    _, options = lease([DhcpOption(name="mtu", value="1400"), DhcpOption(name="router", value="")])
    assert options[26] == b"\x05\x78"
    assert 3 not in options
    assert options[6] == socket.inet_aton("192.0.2.53")


def test_a_boot_server_stands_in_the_head_too():
    words = {"server-ip-address": "198.51.100.9", "tftp-server": "boot", "bootfile-name": "x.0"}
    reply, options = lease([DhcpOption(name=name, value=value) for name, value in words.items()])
    assert socket.inet_ntoa(reply[20:24]) == "198.51.100.9"
    assert (reply[44:108].rstrip(b"\0"), reply[108:236].rstrip(b"\0")) == (b"boot", b"x.0")
    assert (options[66], options[67]) == (b"boot", b"x.0")


def test_ipxe_gives_itself_away():
    options = [DhcpOption(name="tag:ipxe,67", value="http://x")]
    assert 67 not in lease(options)[1]
    assert lease(options, b"\xaf\1\0")[1][67] == b"http://x"


@given(st.text(min_size=1, max_size=64), st.text(max_size=255), st.sampled_from([4, 6]))
def test_odd_names_and_values_are_survived(name: str, value: str, version: int):
    encoded(name, value, version)


@given(st.sampled_from([name for _, name, _ in dhcp_options._V4]), st.text(max_size=255))
def test_odd_values_are_survived(name: str, value: str):
    encoded(name, value)
    encoded(name, value, 6)
