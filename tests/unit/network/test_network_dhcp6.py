# SPDX-License-Identifier: Apache-2.0
"""DHCPv6 answers, message by message."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cumulet.services.network.drivers.fabric import dhcp6
from cumulet.services.network.types import (
    DhcpOption,
    FixedAddress,
    NetworkState,
    PortState,
    ServiceState,
    SubnetState,
)

MAC, SERVER, STRANGER = "fa:16:3e:00:00:05", "fa:16:3e:00:00:02", "fa:16:3e:00:00:06"
URL = DhcpOption(name="bootfile-url", value="tftp://[fd00::9]/x", version=6)
OFFER = dhcp6.Offer(addresses=["fd00::5"], dns=["fd00::53"], options=[URL])
TABLE = dhcp6.Table(server=SERVER, offers={MAC: OFFER})
CLIENT = b"\x00\x04" + bytes(range(16))


def option(code: int, value: bytes) -> bytes:
    return struct.pack("!HH", code, len(value)) + value


def association(*addresses: str) -> bytes:
    inner = b"".join(option(5, ipaddress.IPv6Address(one).packed + bytes(8)) for one in addresses)
    return option(3, b"\0\0\0\7" + bytes(8) + inner)


def ask(kind: int, *options: bytes, server: bool = False, client: bool = True, table=TABLE, mac: str = MAC):
    body = (option(1, CLIENT) if client else b"") + (option(2, dhcp6.server_id(SERVER)) if server else b"")
    reply = dhcp6.answer(bytes([kind]) + b"\xab\xcd\xef" + body + b"".join(options), mac, table)
    return None if reply is None else (reply[0], reply[1:4], dict(dhcp6.parse_options(reply[4:])))


def told(options: dict[int, bytes]) -> list[tuple[str, int]]:
    """The addresses of the association and their seconds."""
    inner = dhcp6.parse_options(options[3][12:])
    found = [value for code, value in inner if code == 5]
    return [(str(ipaddress.IPv6Address(value[:16])), struct.unpack("!I", value[20:24])[0]) for value in found]


def status(data: bytes) -> int:
    return struct.unpack("!H", dict(dhcp6.parse_options(data))[13][:2])[0]


def test_a_solicitation_is_offered_everything():
    kind, number, options = ask(1, association())
    assert (kind, number, options[1]) == (2, b"\xab\xcd\xef", CLIENT)
    assert options[2] == b"\x00\x03\x00\x01" + bytes.fromhex(SERVER.replace(":", ""))
    assert told(options) == [("fd00::5", dhcp6.LEASE_SECONDS)]
    assert options[3][:4] == b"\0\0\0\7"
    assert ipaddress.IPv6Address(options[23]) == ipaddress.IPv6Address("fd00::53")
    assert options[59] == b"tftp://[fd00::9]/x"


def test_one_who_is_in_a_hurry_gets_it_at_once():
    kind, _, options = ask(1, option(14, b""), association())
    assert (kind, options[14]) == (7, b"")


def test_a_client_is_told_only_what_it_asks_for():
    _, _, options = ask(1, association(), option(6, struct.pack("!H", 59)))
    assert 59 in options
    assert 23 not in options


@pytest.mark.parametrize("kind", [3, 5])
def test_a_request_and_a_renewal_are_granted_by_the_one_that_is_meant(kind):
    assert ask(kind, association("fd00::5"), server=True)[0] == 7
    assert ask(kind, association("fd00::5")) is None
    assert ask(kind, association(), option(2, dhcp6.server_id(STRANGER))) is None


def test_an_address_that_is_not_the_ports_runs_out():
    _, _, options = ask(6, association("fd00::5", "fd00::99"))
    assert told(options) == [("fd00::5", dhcp6.LEASE_SECONDS), ("fd00::99", 0)]


def test_a_confirmation_says_whether_the_addresses_are_right():
    assert status(option(13, ask(4, association("fd00::5"))[2][13])) == 0
    assert status(option(13, ask(4, association("fd00::99"))[2][13])) == 4
    assert ask(4, association()) is None


def test_a_release_is_confirmed_and_changes_nothing():
    assert status(option(13, ask(8, association("fd00::5"), server=True)[2][13])) == 0
    assert told(ask(1, association())[2])[0][0] == "fd00::5"


def test_what_there_is_none_of_is_said():
    _, _, options = ask(1, association(), option(4, b"\0\0\0\1"), option(25, b"\0\0\0\2" + bytes(8)))
    assert status(options[4][4:]) == 2
    assert status(options[25][12:]) == 6
    bare = dhcp6.Table(server=SERVER, offers={MAC: dhcp6.Offer(dns=["fd00::53"])})
    kind, _, options = ask(1, association(), table=bare)
    assert kind == 2
    assert status(options[3][12:]) == 2


def test_information_alone_needs_no_name():
    kind, _, options = ask(11, client=False)
    assert (kind, 3 in options, 1 in options) == (7, False, False)
    assert 23 in options
    assert ask(11, association()) is None


def test_strangers_and_nonsense_are_not_answered():
    assert ask(1, association(), mac=STRANGER) is None
    assert ask(1, association(), client=False) is None
    assert ask(1, association(), server=True) is None
    assert ask(12) is None


def test_subnets_say_who_is_told_what():
    def subnet(key: str, number: int, **words: object) -> SubnetState:
        return SubnetState(id=key, cidr=f"fd00:{number}::/64", version=6, dns=[f"fd00:{number}::53"], **words)

    network = NetworkState(
        id="n", mtu=1450,
        service=ServiceState(port_id="s", mac=SERVER, addresses=["fd00:1::2/64"]),
        subnets=[
            subnet("full", 1, ra_mode="dhcpv6-stateful", address_mode="dhcpv6-stateful"),
            subnet("less", 2, ra_mode="dhcpv6-stateless", address_mode="dhcpv6-stateless"),
            subnet("slaac", 3, ra_mode="slaac", address_mode="slaac"),
            subnet("bare", 4),
            subnet("foreign", 5, ra_mode="dhcpv6-stateful"),
            subnet("off", 6, dhcp=False),
        ],
    )  # fmt: skip

    def port(*keys: str) -> PortState:
        addresses = [FixedAddress(address=f"fd00:{key}::5", prefix=64, subnet_id=key) for key in keys]
        return PortState(id="-".join(keys), network_id="n", mac=f"mac-{'-'.join(keys)}", addresses=addresses)

    ports = [port(key) for key in ("full", "less", "slaac", "bare", "foreign", "off")] + [port("full", "less")]
    table = dhcp6.table(network, ports)
    assert table is not None
    found = {key.removeprefix("mac-"): (offer.addresses, offer.dns) for key, offer in table.offers.items()}
    assert found == {
        "full": (["fd00:full::5"], ["fd00:1::53"]),
        "less": ([], ["fd00:2::53"]),
        "bare": (["fd00:bare::5"], ["fd00:4::53"]),
        "full-less": (["fd00:full::5"], ["fd00:1::53", "fd00:2::53"]),
    }


@given(st.binary(max_size=300))
def test_noise_is_survived(data: bytes):
    dhcp6.answer(data, MAC, TABLE)
    dhcp6.answer(b"\x01abc" + option(1, CLIENT) + data, MAC, TABLE)
    dhcp6.answer(b"\x01abc" + option(1, CLIENT) + option(3, data), MAC, TABLE)
