# SPDX-License-Identifier: Apache-2.0
"""What the paths of ports' bindings name."""

from __future__ import annotations

from personas.props.network import owned
from personas.stage import Prop, Stage

HOST = "host-1"


def server_port(stage: Stage) -> Prop:
    """A port that could be a server's, bound to the cloud's host; what can be activated is bound nowhere yet."""
    wire = stage.make("network", "/networks", {"network": {"name": "bound"}}, "member")["network"]["id"]
    words = {"network_id": wire, "device_owner": "compute:nova", "device_id": "a-server"}
    port = stage.make("network", "/ports", {"port": words}, "member")["port"]
    stage.make("network", f"/ports/{port['id']}", {"port": {"binding:host_id": HOST}}, "admin", "PUT")
    found = owned(stage, port, **{"network:project_id": stage.cast.project_id})
    return {**found, "port_id": port["id"], "host": HOST}


MAKERS = {"/ports/{port_id}": server_port}
