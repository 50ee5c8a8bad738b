# SPDX-License-Identifier: Apache-2.0
"""What a router is told of the IPv6 addresses for which it answers outside."""

from __future__ import annotations

import httpx

from cumulet.services.network.logic import concern, snapshot
from cumulet.services.network.logic.compile import compile_host
from cumulet.services.network.types.ndp_proxies import NdpProxy
from support.people import environment


def test_the_router_is_told_for_whom_it_answers(cloud):
    headers = {"x-auth-token": environment(cloud)["ADMIN_TOKEN"]}
    control, host = cloud.control.cloud, cloud.settings.host
    with httpx.Client(base_url=f"{cloud.control_url}/network/v2.0", headers=headers, timeout=30) as client:

        def make(kind: str, path: str, **words: object) -> dict:
            answer = client.post(path, json={kind: words})
            assert answer.status_code == 201, answer.text
            return answer.json()[kind]

        scope = make("address_scope", "/address-scopes", name="six", ip_version=6)["id"]
        words = {"name": "six", "prefixes": ["2001:db8:d000::/40"], "default_prefixlen": 64}
        pool = make("subnetpool", "/subnetpools", address_scope_id=scope, **words)["id"]
        outside = make("network", "/networks", **{"router:external": True})["id"]
        make("subnet", "/subnets", network_id=outside, ip_version=6, subnetpool_id=pool)
        inside = make("network", "/networks")["id"]
        subnet = make("subnet", "/subnets", network_id=inside, ip_version=6, subnetpool_id=pool)["id"]
        router = make("router", "/routers", external_gateway_info={"network_id": outside})["id"]
        client.put(f"/routers/{router}/add_router_interface", json={"subnet_id": subnet})
        port = make("port", "/ports", network_id=inside)["id"]

        def told() -> list[str] | None:
            state = compile_host(snapshot.take(control, host))
            return next(one.proxied for one in state.routers if one.id == router)

        assert told() is None
        client.put(f"/routers/{router}", json={"router": {"enable_ndp_proxy": True}})
        assert told() == []
        proxy = make("ndp_proxy", "/ndp_proxies", router_id=router, port_id=port)
        assert told() == [proxy["ip_address"]]
        assert concern.of(control.db, NdpProxy, [proxy["id"]]) == {host}
        client.delete(f"/ndp_proxies/{proxy['id']}")
        assert told() == []
