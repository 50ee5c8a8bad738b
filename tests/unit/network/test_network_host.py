# SPDX-License-Identifier: Apache-2.0
"""The host part: what it takes, refuses, remembers and tells."""

from __future__ import annotations

import os
import threading
from types import SimpleNamespace

import msgspec
import pytest

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Conflict, NotFound, NotReady
from cumulet.kernel.link.host import Host
from cumulet.services.network.agent import create
from cumulet.services.network.agent.metadata import MetadataSource
from cumulet.services.network.agent.service import NetworkHost
from cumulet.services.network.contract import HostPorts, MetadataQuery
from cumulet.services.network.drivers.fake import FakeFabric
from cumulet.services.network.types import (
    Applied,
    Capabilities,
    FixedAddress,
    HostDelta,
    HostState,
    NetworkState,
    PortState,
    RemoteState,
)
from cumulet.settings.network import Network
from support.waiting import PATIENCE

NETWORK = NetworkState(id="n1", mtu=1450)
PORT = PortState(
    id="p1", network_id="n1", mac="fa:16:3e:00:00:01",
    addresses=[FixedAddress(address="10.0.0.5", prefix=24, subnet_id="s1")],
)  # fmt: skip
STATE = HostState(epoch="e1", generation=3, networks=[NETWORK], ports=[PORT])


@pytest.fixture
def events():
    return []


@pytest.fixture
def host(tmp_path, events):
    return Host(
        name="h1",
        state=tmp_path,
        run_dir=tmp_path,
        settings=SimpleNamespace(network=Network(driver="fake", tunnel_address="198.18.6.1")),
        loop=None,
        contracts=Contracts(),
        emit=lambda name, body: events.append((name, body)),
        call=lambda *_, **__: None,
    )


def full(state: HostState) -> dict:
    return {"state": msgspec.to_builtins(state)}


def apply(service, body: dict) -> dict:
    return service.verbs["network.apply"](body)


def test_a_state_is_applied_and_survives_the_agent(host):
    service = create(host)
    assert apply(service, full(STATE))["generation"] == 3
    service.stop()
    again = create(reborn(host))
    again.start()
    report = again.report()
    assert (report["epoch"], report["generation"]) == ("e1", 3)
    assert apply(again, full(STATE))["changes"] == 0


def reborn(host: Host) -> Host:
    return Host(**{**host.__dict__, "contracts": Contracts()})


def test_an_older_generation_is_refused_but_not_of_another_database(host):
    service = create(host)
    apply(service, full(STATE))
    with pytest.raises(Conflict, match="no newer") as caught:
        apply(service, full(msgspec.structs.replace(STATE, generation=2)))
    assert caught.value.code == "GenerationTooOld"
    assert apply(service, full(HostState(epoch="e2", generation=1)))["generation"] == 1


def test_a_delta_must_fit(host):
    service = create(host)
    apply(service, full(STATE))
    wider = msgspec.structs.replace(NETWORK, mtu=9000)
    delta = HostDelta(epoch="e1", base=3, generation=4, networks=[wider], gone=["p1"])
    apply(service, {"delta": msgspec.to_builtins(delta)})
    assert service.report()["generation"] == 4
    with pytest.raises(Conflict) as caught:
        apply(service, {"delta": msgspec.to_builtins(delta)})
    assert caught.value.code == "FullStateNeeded"


def test_a_port_that_comes_from_another_host_is_remote_no_more(host):
    service = create(host)
    far = RemoteState(id="p1", network_id="n1", mac=PORT.mac, addresses=["10.0.0.5"], endpoint="198.18.6.2")
    apply(service, full(HostState(epoch="e1", generation=3, networks=[NETWORK], remotes=[far])))
    delta = HostDelta(epoch="e1", base=3, generation=4, ports=[PORT], gone_remotes=["p1"])
    apply(service, {"delta": msgspec.to_builtins(delta)})
    assert apply(service, full(msgspec.structs.replace(STATE, generation=4)))["changes"] == 0


def test_a_host_says_where_its_tunnels_end_and_whether_it_takes_routers(host):
    report = create(host).report()
    assert (report["endpoint"], report["gateway"]) == ("198.18.6.1", True)


def test_taps_are_offered_and_their_coming_and_going_is_told(host, events):
    service = create(host)
    apply(service, full(STATE))
    ports = host.contracts.use(HostPorts)
    os.close(ports.open_tap("p1"))
    assert service.report()["ports"] == ["p1"]
    ports.close_tap("p1")
    assert [(name, body["ports"]) for name, body in events] == [
        ("network.ports", []),
        ("network.ports", ["p1"]),
        ("network.ports", []),
    ]


def test_metadata_is_asked_once_and_failures_are_not_kept():
    asked = []
    answers = [NotReady("away"), {"status": 200, "media_type": "text/plain", "body": b"x"}]

    def call(verb: str, body: dict, timeout: float) -> dict:
        asked.append((verb, body["path"]))
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    source = MetadataSource(call)
    query = MetadataQuery(network_id="n1", address="10.0.0.5", path="/latest")
    assert source(query).status == 503
    assert source(query).body == b"x"
    assert source(query).body == b"x"
    assert asked == [("compute.metadata", "/latest")] * 2


def test_an_unknown_guest_has_no_metadata():
    def call(*_: object, **__: object) -> dict:
        raise NotFound("no such server")

    assert MetadataSource(call)(MetadataQuery(network_id="n", address="a", path="/")).status == 404


def test_a_host_looks_after_its_network_by_itself(host, events):
    looks = threading.Semaphore(0)

    class Drifting(FakeFabric):
        def __init__(self) -> None:
            super().__init__(lambda _: None)
            self.capabilities = Capabilities(driver="drifting")

        def repair(self) -> Applied:
            looks.release()
            return msgspec.structs.replace(super().repair(), changes=1)

    settings = SimpleNamespace(network=Network(driver="fake", tunnel_address="198.18.6.1", repair_interval=0.01))
    service = NetworkHost(Host(**{**host.__dict__, "settings": settings}), Drifting())
    service.start()
    try:
        assert not looks.acquire(timeout=0.1), "there is nothing to look at yet"
        apply(service, full(STATE))
        before = len(events)
        assert looks.acquire(timeout=PATIENCE)
        assert looks.acquire(timeout=PATIENCE)
        assert len(events) > before
    finally:
        service.stop()
