# SPDX-License-Identifier: Apache-2.0
"""Packets that a port's logs ask for are written down on its host, and no others."""

from __future__ import annotations

import os
import re
import socket
import uuid
from pathlib import Path

import msgspec
import pytest
from network_labs import FabricLab, connects, eventually, ping

from cumulet.services.network.drivers.fabric import nflog, packet_logs, packets
from cumulet.services.network.drivers.fabric.engine import KernelFabric
from cumulet.services.network.drivers.fabric.options import FabricOptions
from cumulet.services.network.types import (
    FixedAddress,
    GroupState,
    HostState,
    NetworkState,
    PortState,
    RuleState,
    SubnetState,
)
from cumulet.services.network.types.packet_logs import PacketLogState

NET, WEB, PINGS, ONE, TWO = (str(uuid.uuid4()) for _ in range(5))
ADDRESS = {ONE: "10.4.0.11", TWO: "10.4.0.12"}
MAC = {ONE: "fa:16:3e:00:0a:01", TWO: "fa:16:3e:00:0a:02"}
LINE = re.compile(
    r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} action=(ACCEPT|DROP) project_id=(\S+) log_resource_ids=\[(.*)\] "
    r"vm_port=(\S+) pkt=(.*)$"
)


def log(name: str, event: str = "ALL", group: str = "", project: str = "p") -> PacketLogState:
    return PacketLogState(id=name, project_id=project, event=event, group=group)


def state(generation: int, *logs: PacketLogState) -> HostState:
    """A port that takes HTTP and pings of two groups, and sends all; another one that logs nothing."""
    out = [RuleState(direction="egress", version=4)]
    web = RuleState(direction="ingress", version=4, protocol=6, low=8080, high=8080)
    pings = RuleState(direction="ingress", version=4, protocol=1)
    return HostState(
        generation=generation,
        networks=[NetworkState(id=NET, mtu=1450, segment=1, subnets=[SubnetState(id="s", cidr="10.4.0.0/24")])],
        ports=[
            PortState(
                id=key,
                network_id=NET,
                mac=MAC[key],
                addresses=[FixedAddress(address=ADDRESS[key], prefix=24, subnet_id="s")],
                groups=[WEB, PINGS],
                logs=list(logs) if key == TWO else [],
            )
            for key in (ONE, TWO)
        ],
        groups=[GroupState(id=WEB, rules=[web, *out]), GroupState(id=PINGS, rules=[pings])],
    )


class LoggingLab(FabricLab):
    """A fabric whose packets go to a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__()

    def _engine(self) -> KernelFabric:
        options = FabricOptions(mark=self.mark, egress=False, packet_log=str(self.path))
        return KernelFabric(options, lambda _: None)

    def written(self) -> list[tuple[str, ...]]:
        text = self.path.read_text() if self.path.exists() else ""
        found = [LINE.match(line) for line in text.splitlines()]
        assert all(found), text
        return [match.groups() for match in found if match is not None]


@pytest.fixture
def lab(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    place = LoggingLab(tmp_path / "log" / "packets.log")
    yield place
    place.close()


def traffic(lab: LoggingLab) -> None:
    """HTTP and a ping that are let in, a port that is not, and a connection of the logged port's own."""
    one, two = (lab.guests[key].space for key in (ONE, TWO))
    assert one.visit(lambda: connects(ADDRESS[TWO], 8080))
    assert one.visit(lambda: ping(ADDRESS[TWO], tries=1, patience=10))
    assert not one.visit(lambda: connects(ADDRESS[TWO], 25))
    assert two.visit(lambda: connects(ADDRESS[ONE], 8080))


def start(lab: LoggingLab, *logs: PacketLogState) -> None:
    assert lab.apply(state(1, *logs)).failed == {}
    for key in ADDRESS:
        lab.boot(key)


@pytest.mark.root
def test_everything_is_logged_once_a_connection(lab):
    start(lab, log("l1"))
    traffic(lab)
    assert eventually(lambda: any("tcp" in one[4] and one[4].count(f"src='{ADDRESS[TWO]}'") for one in lab.written()))
    found = lab.written()
    assert {(action, project, logs, port) for action, project, logs, port, _ in found} == {
        ("ACCEPT", "p", "'l1'", TWO),
        ("DROP", "p", "'l1'", TWO),
    }
    accepted = [words for action, *_, words in found if action == "ACCEPT"]
    assert len([words for words in accepted if "dst_port=8080" in words]) == 2
    assert len([words for words in accepted if "icmp(" in words and "type=8" in words]) == 1
    dropped = [words for action, *_, words in found if action == "DROP"]
    assert dropped
    assert all("dst_port=25" in words for words in dropped)
    assert f"ethernet(dst='{MAC[TWO]}',ethertype=2048,src='{MAC[ONE]}')ipv4(" in dropped[0]
    assert lab.path.stat().st_mode & 0o777 == 0o600


@pytest.mark.root
def test_a_log_of_one_group_and_one_event_sees_nothing_else(lab):
    start(lab, log("l1", "ACCEPT", PINGS), log("l2", "DROP", WEB, "q"))
    traffic(lab)
    assert eventually(lambda: len(lab.written()) > 1)
    found = {(action, project, logs) for action, project, logs, _, _ in lab.written()}
    assert found == {("ACCEPT", "p", "'l1'"), ("DROP", "q", "'l2'")}
    assert all("icmp(" in words for action, *_, words in lab.written() if action == "ACCEPT")


@pytest.mark.root
def test_logs_come_and_go(lab):
    start(lab)
    traffic(lab)
    assert lab.written() == []
    assert lab.apply(state(2, log("l1", "DROP"))).changes > 0
    assert lab.apply(state(2, log("l1", "DROP"))).changes == 0
    assert not lab.guests[ONE].space.visit(lambda: connects(ADDRESS[TWO], 25))
    assert eventually(lambda: bool(lab.written()))
    lab.restart()
    assert lab.apply(state(2, log("l1", "DROP"))).changes == 0
    before = len(lab.written())
    assert not lab.guests[ONE].space.visit(lambda: connects(ADDRESS[TWO], 25))
    assert eventually(lambda: len(lab.written()) > before)
    lab.apply(state(3))
    before = len(lab.written())
    assert not lab.guests[ONE].space.visit(lambda: connects(ADDRESS[TWO], 25))
    assert len(lab.written()) == before


@pytest.mark.root
def test_a_flood_is_written_no_faster_than_the_limit(lab):
    start(lab, log("l1", "DROP"))

    def flood() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            for number in range(2000):
                sock.sendto(bytes(8), (ADDRESS[TWO], 1000 + number))

    assert lab.guests[ONE].space.visit(lambda: ping(ADDRESS[TWO], tries=3, patience=5))
    lab.guests[ONE].space.visit(flood)
    assert eventually(lambda: len(lab.written()) >= 25, 10)
    assert len(lab.written()) < 1500


def test_the_file_turns_and_keeps_a_few(tmp_path):
    path = tmp_path / "packets.log"
    options = FabricOptions(mark="x", packet_log=str(path), packet_log_size=200, packet_log_keep=2)
    for life in range(3):
        file = packet_logs.File(options)
        for number in range(10):
            file.write(f"life {life} line {number} {'x' * 40}")
        file.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["packets.log", "packets.log.1", "packets.log.2"]
    assert all(each.stat().st_size <= 200 for each in tmp_path.iterdir())
    assert "life 2 line 9" in path.read_text()


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path, caplog):
    (tmp_path / "packets.log").mkdir()
    file = packet_logs.File(FabricOptions(mark="x", packet_log=str(tmp_path / "packets.log")))
    file.write("x")
    file.write("y")
    assert len([record for record in caplog.records if "not logged" in record.getMessage()]) == 1


@pytest.mark.parametrize("length", range(0, 140, 7))
def test_whatever_a_guest_sends_is_only_numbers(length):
    hostile = b"\n\x1b[31m" * 40
    for protocol in (0x0800, 0x86DD, 0x1234):
        text = packets.described(hostile[:14], protocol, hostile[:length])
        assert re.fullmatch(r"[a-z0-9_=,.:()\[\]'-]*", text), text


def test_headers_in_words():
    link = bytes.fromhex("fa163e000a02fa163e000a010800")
    head = bytes.fromhex("4500003c00014000400600000a0400010a040002")
    tcp = bytes.fromhex("1f90001900000001000000025002ffff00000000")
    assert packets.described(link, 0x0800, head + tcp) == (
        "ethernet(dst='fa:16:3e:00:0a:02',ethertype=2048,src='fa:16:3e:00:0a:01')"
        "ipv4(csum=0,dst='10.4.0.2',flags=2,header_length=5,identification=1,offset=0,proto=6,src='10.4.0.1',tos=0,"
        "total_length=60,ttl=64,version=4)"
        "tcp(ack=2,bits=2,csum=0,dst_port=25,offset=5,seq=1,src_port=8080,urgent=0,window_size=65535)"
    )
    six = bytes.fromhex("6000000000083a40" + "20010db8" + "0" * 23 + "1" + "20010db8" + "0" * 23 + "2")
    assert packets.described(b"", 0x86DD, six + bytes.fromhex("8000000000070001")) == (
        "ipv6(dst='2001:db8::2',flow_label=0,hop_limit=64,nxt=58,payload_length=8,src='2001:db8::1',traffic_class=0,"
        "version=6)icmpv6(code=0,csum=0,data=echo(id=7,seq=1),type=128)"
    )


@pytest.mark.parametrize(
    "data", [b"", b"\x03\0\0\0" * 9, bytes(40), b"\xff" * 64], ids=["none", "short", "zeros", "ones"]
)
def test_what_is_no_message_is_none(data):
    assert list(nflog.parse(data)) == []


def test_a_log_needs_its_port_and_its_group():
    port = msgspec.structs.replace(state(1, log("l1", "ACCEPT", WEB), log("l2", "ALL")).ports[1])
    said = nflog.Logged(f"ACCEPT {TWO} {PINGS}", b"", 0, b"")
    assert [line.split(" ")[2] for line in packet_logs.lines({TWO: port}, said)] == ["log_resource_ids=['l2']"]
    assert list(packet_logs.lines({}, said)) == []
    assert list(packet_logs.lines({TWO: port}, said._replace(prefix="what"))) == []


@pytest.mark.root
def test_a_kernel_that_cannot_log_filters_all_the_same(tmp_path):
    if os.geteuid() != 0:
        pytest.skip("needs root: makes namespaces and taps")
    lab = LoggingLab(tmp_path / "packets.log")
    try:
        lab.fabric.capabilities.missing["packet_logs"] = "no such statement"
        start(lab, log("l1"))
        traffic(lab)
        assert lab.written() == []
    finally:
        lab.close()
