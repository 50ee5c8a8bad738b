# SPDX-License-Identifier: Apache-2.0
"""Which ports a host is told that local IPs mean, and what the audit says of such that are none."""

from __future__ import annotations

import httpx

from cumulet.kernel.audit import Look
from cumulet.services.network.audit import audit
from cumulet.services.network.logic import concern, snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.store import common
from cumulet.services.network.types import AddressPair, PortState
from cumulet.services.network.types.local_ips import LocalIpAssociation, LocalIpState
from support.people import environment


def test_hosts_are_told_of_the_ports_that_are_meant(cloud):
    people = environment(cloud)
    control, host = cloud.control.cloud, cloud.settings.host
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", timeout=30) as client:
        client.headers["x-auth-token"] = people["ADMIN_TOKEN"]

        def make(kind: str, path: str, **words: object) -> dict:
            answer = client.post(path, json={kind: {"project_id": people["PROJECT_ID"], **words}})
            assert answer.status_code == 201, answer.text
            return dict(answer.json()[kind])

        network = make("network", "/networks")["id"]
        make("subnet", "/subnets", network_id=network, ip_version=4, cidr="10.0.0.0/24")
        bound = {"network_id": network, "binding:host_id": host, "device_owner": "compute:nova"}
        port = make("port", "/ports", fixed_ips=[{"ip_address": "10.0.0.5"}], **bound)
        near, plain = (
            make("local_ip", "/local-ips", network_id=network, local_ip_address=address, ip_mode=mode)
            for address, mode in (("10.0.0.8", "translate"), ("10.0.0.9", "passthrough"))
        )

        def told() -> PortState:
            state = compile_host(snapshot.take(control, host))
            return next(each for each in state.ports if each.id == port["id"])

        def subjects() -> list[str]:
            return [each.text for each in audit(Look(control, "network")) if "local IP" in each.text]

        assert told().local_ips == []
        path = f"/local_ips/{near['id']}/port_associations"
        make("port_association", path, fixed_port_id=port["id"])
        [row] = [key for key in _associations(control) if concern.of(control.db, LocalIpAssociation, [key]) == {host}]
        assert told().local_ips == [LocalIpState(address="10.0.0.8", fixed="10.0.0.5")]
        assert told().pairs == []
        assert client.get(f"{path}/{port['id']}").json()["port_association"]["host"] == host
        make("port_association", f"/local_ips/{plain['id']}/port_associations", fixed_port_id=port["id"])
        assert {one.address: one.translate for one in told().local_ips} == {"10.0.0.8": True, "10.0.0.9": False}
        assert told().pairs == [AddressPair(mac=port["mac_address"], cidr="10.0.0.9")]
        assert subjects() == []
        moved = {"port": {"fixed_ips": [{"ip_address": "10.0.0.88"}]}}
        client.put(f"/ports/{near['local_port_id']}", json=moved)
        assert [one.address for one in told().local_ips] == ["10.0.0.9"], "the address may be another's by now"
        elsewhere = make("network", "/networks")["id"]
        make("subnet", "/subnets", network_id=elsewhere, ip_version=4, cidr="10.0.0.0/24")
        far = make("local_ip", "/local-ips", network_id=elsewhere, local_ip_address="10.0.0.1")
        make("port_association", f"/local_ips/{far['id']}/port_associations", fixed_port_id=port["id"])
        assert [one.address for one in told().local_ips] == ["10.0.0.9"], "an address of another network"
        client.delete(f"/local_ips/{far['id']}/port_associations/{port['id']}")
        client.put(f"/ports/{port['id']}", json={"port": {"fixed_ips": [{"ip_address": "10.0.0.6"}]}})
        assert told().local_ips == []
        assert len(subjects()) == 3
        client.delete(f"/ports/{port['id']}")
        assert row not in _associations(control)
        for each in (near, plain):
            assert client.delete(f"/local-ips/{each['id']}").status_code == 204


def _associations(control) -> list[str]:
    return [each.id for each in common.find_all(control.db, LocalIpAssociation)]
