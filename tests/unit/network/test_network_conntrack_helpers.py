# SPDX-License-Identifier: Apache-2.0
"""What a router is told of its conntrack helpers."""

from __future__ import annotations

import httpx

from cumulet.services.network.logic import concern, snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.types import HelperState
from cumulet.services.network.types.conntrack_helpers import ConntrackHelper
from support.people import environment


def test_the_router_is_told_what_to_read(cloud):
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    control, host = cloud.control.cloud, cloud.settings.host
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30) as client:
        network = client.post("/networks", json={"network": {"router:external": True}}).json()["network"]["id"]
        cidr = {"network_id": network, "ip_version": 4, "cidr": "198.51.100.0/24", "enable_dhcp": False}
        client.post("/subnets", json={"subnet": cidr})
        gateway = {"external_gateway_info": {"network_id": network}}
        router = client.post("/routers", json={"router": gateway}).json()["router"]["id"]
        path = f"/routers/{router}/conntrack_helpers"
        wanted = {"helper": "ftp", "protocol": "tcp", "port": 21}
        made = client.post(path, json={"conntrack_helper": wanted}).json()["conntrack_helper"]["id"]

        def told() -> list[HelperState]:
            state = compile_host(snapshot.take(control, host))
            return next(one.helpers for one in state.routers if one.id == router)

        assert told() == [HelperState(name="ftp", protocol="tcp", port=21)]
        assert concern.of(control.db, ConntrackHelper, [made]) == {host}
        client.delete(f"{path}/{made}")
        assert told() == []
