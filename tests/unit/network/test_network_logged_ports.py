# SPDX-License-Identifier: Apache-2.0
"""Which ports' packets a host is told to log."""

from __future__ import annotations

import httpx

from cumulet.services.network.logic import concern, snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.types.packet_logs import PacketLog
from support.people import environment


def test_hosts_are_told_of_the_ports_that_are_logged(cloud):
    people = environment(cloud)
    control, host = cloud.control.cloud, cloud.settings.host
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", timeout=30) as client:
        client.headers["x-auth-token"] = people["ADMIN_TOKEN"]

        def make(kind: str, path: str, **words: object) -> str:
            answer = client.post(path, json={kind: {"project_id": people["PROJECT_ID"], **words}})
            assert answer.status_code == 201, answer.text
            return str(answer.json()[kind]["id"])

        def log(**words: object) -> str:
            return make("log", "/log/logs", resource_type="security_group", **words)

        network = make("network", "/networks")
        make("subnet", "/subnets", network_id=network, ip_version=4, cidr="10.0.0.0/24")
        ours, other = (make("security_group", "/security-groups", name=name) for name in ("ours", "other"))
        bound = {"network_id": network, "binding:host_id": host, "device_owner": "compute:nova"}
        first = make("port", "/ports", security_groups=[ours], **bound)
        second = make("port", "/ports", security_groups=[other], **bound)
        foreign = make("port", "/ports", security_groups=[], **{**bound, "project_id": people["OTHER_PROJECT_ID"]})
        unsafe = make("port", "/ports", port_security_enabled=False, **bound)

        def told() -> dict[str, list[tuple[str, str, str]]]:
            state = compile_host(snapshot.take(control, host))
            ports = {port.id: port for port in state.ports}
            names = (first, second, foreign, unsafe)
            return {key: [(log.id, log.event, log.group) for log in ports[key].logs] for key in names}

        assert told() == {first: [], second: [], foreign: [], unsafe: []}
        whole = log(event="DROP")
        assert concern.of(control.db, PacketLog, [whole]) == {host}
        assert told() == {
            first: [(whole, "DROP", "")],
            second: [(whole, "DROP", "")],
            foreign: [],
            unsafe: [],
        }
        client.delete(f"/log/logs/{whole}")
        group, port = log(resource_id=ours, event="ACCEPT"), log(target_id=foreign)
        assert concern.of(control.db, PacketLog, [group]) == {host}
        assert concern.of(control.db, PacketLog, [port]) == {host}
        assert told() == {first: [(group, "ACCEPT", ours)], second: [], foreign: [(port, "ALL", "")], unsafe: []}
        client.put(f"/log/logs/{group}", json={"log": {"enabled": False}})
        assert told()[first] == []
        assert concern.of(control.db, PacketLog, [log(resource_id=other, target_id=second)]) == {host}
        client.put(f"/ports/{second}", json={"port": {"security_groups": [ours]}})
        assert told()[second] == []
        for key in (first, second, foreign, unsafe):
            client.delete(f"/ports/{key}")
