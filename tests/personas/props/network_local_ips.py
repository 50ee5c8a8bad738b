# SPDX-License-Identifier: Apache-2.0
"""What the paths of local IPs name."""

from __future__ import annotations

from personas.props.network import made, owned
from personas.stage import Maker, Prop, Stage


def local_ip(stage: Stage) -> Prop:
    wire = made(stage, "network")["id"]
    made(stage, "subnet", network_id=wire, ip_version=4, cidr="10.11.0.0/24")
    return owned(stage, stage.make("network", "/local-ips", {"local_ip": {"network_id": wire}})["local_ip"])


def association(stage: Stage) -> Prop:
    above = local_ip(stage)
    port = made(stage, "port", network_id=above["network_id"])["id"]
    path = f"/local_ips/{above['id']}/port_associations"
    stage.make("network", path, {"port_association": {"fixed_port_id": port}})
    found = owned(stage, {"id": port}, **{"ext_parent:project_id": stage.cast.project_id})
    return {**found, "local_ip_id": above["id"]}


MAKERS: dict[str, Maker] = {
    "/local-ips/{id}": local_ip,
    "/local_ips/{id}": local_ip,
    "/local_ips/{local_ip_id}": association,
}
