# SPDX-License-Identifier: Apache-2.0
"""From the API to two hosts whose agents are processes that are killed: what was made and deleted leaves nothing there.

The control plane stands on the first host; both agents join it over TLS. Guests are taps that somebody holds open.
"""

from __future__ import annotations

import json
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import network_frames as frames
import pytest
from network_labs import eventually
from network_remains import differences, remains

from cumulet.kernel import audit
from cumulet.kernel.link.admission import Admission
from cumulet.kernel.link.join import join
from cumulet.kernel.link.membership import Membership
from cumulet.kernel.vault import Vault
from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.drivers.fabric.taps import open_tap
from support.cloud import FAKES, RunningCloud
from support.people import environment
from support.real_cloud import free_port
from support.waiting import until

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root: makes namespaces and taps"),
]

CYCLES = int(os.environ.get("LEAK_CYCLES", "5"))
SEED = int(os.environ.get("WALK_SEED", "20260703"))
STEPS = 12  # in a cycle, with one kill
MOMENT = 0.15  # seconds at most from what was asked for last to the kill
LIFE = 5  # cycles until all is deleted
NURSERY = Path(__file__).parents[2] / "support" / "nursery.py"
HOSTS = {"host-1": "198.18.6.1", "host-2": "198.18.6.2"}
OUTSIDE = "198.18.5"
HERE = "without an agent"  # the name of the control plane's own host
REST = 60.0  # seconds in which two hosts come to rest on a busy machine


class Cloud(RunningCloud):
    """A control plane without an agent of its own."""

    def _join(self) -> None:
        pass


class Host:
    """A namespace that stands for a host, and its agent's folder."""

    def __init__(self, name: str, folder: Path, space: Namespace) -> None:
        self.name = name
        self.state = folder / name
        self.space = space
        self.mark = names.suffix(self.state / "agent")
        self.taps: dict[str, int] = {}

    def remains(self) -> dict[str, Any]:
        """What is in its kernel, and the names of its files but for journals' records."""
        found = remains(self.space, self.mark)
        for words in found.values():
            words["processes"] = [name for name in words["processes"] if name not in ("pytest", "python", "python3")]
        files = [str(path.relative_to(self.state)) for path in self.state.rglob("*") if "journal" not in path.parts]
        return {**found, "files": {"names": sorted(files)}}


class Place:
    """The cloud, its two hosts, and the nursery that starts an agent again as soon as it has died."""

    def __init__(self, folder: Path, spaces: dict[str, Namespace], closing: ExitStack) -> None:
        self.hosts = {name: Host(name, folder, space) for name, space in spaces.items()}
        self.log = folder / "agents.log"
        self._pids: dict[str, int] = {}
        shared = {
            **FAKES,
            "network.driver": "fabric",
            "network.gateway": "yes",
            "network.egress": "false",
            "network.external_cidr": f"{OUTSIDE}.0/24",
            "network.external_gateway": f"{OUTSIDE}.1",
            "network.tunnel_port": str(20000 + secrets.randbelow(20000)),
        }
        nursery = self._nursery(shared)
        closing.callback(nursery.wait, 60)
        closing.callback(nursery.stdin.close)
        own = {**shared, "host": HERE, "link.host": HOSTS["host-1"], "link.port": str(free_port())}
        self.cloud = Cloud(folder / "control", ["identity", "network"], settings=own)
        closing.callback(self.cloud.close)
        self._admit()
        for name in HOSTS:
            nursery.stdin.write(f"start {name}\n")
        nursery.stdin.flush()
        until(lambda: self.joined() == set(HOSTS))
        words = environment(self.cloud)
        self.project = words["ADMIN_PROJECT_ID"]
        self.client = httpx.Client(
            base_url=f"{self.cloud.control_url}/network/v2.0",
            headers={"x-auth-token": words["ADMIN_TOKEN"]},
            timeout=60,
        )
        closing.callback(self.client.close)

    def _nursery(self, shared: dict[str, str]) -> subprocess.Popen[str]:
        parts = [
            {
                "name": name,
                "role": "agent",
                "settings": {
                    **shared, "state": str(host.state), "host": name, "network.tunnel_address": HOSTS[name],
                },
                "namespace": host.space.name,
                "log": str(self.log),
            }
            for name, host in self.hosts.items()
        ]  # fmt: skip
        started = subprocess.Popen(
            [sys.executable, str(NURSERY), json.dumps(parts)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        threading.Thread(target=self._listen, args=[started], daemon=True).start()
        return started

    def _listen(self, nursery: subprocess.Popen[str]) -> None:
        for line in nursery.stdout or ():
            name, _, pid = line.strip().partition(" ")
            if name in self.hosts and pid.isdigit():
                self._pids[name] = int(pid)

    def _admit(self) -> None:
        control = self.cloud.control.cloud
        admission = Admission(control.db, Vault(control.db, self.cloud.settings.master_key), 30 * 86_400)
        url = f"https://{HOSTS['host-1']}:{self.cloud.settings.link.port}"
        for name, host in self.hosts.items():
            join(admission.new_token(600), [url], name, Membership(host.state / "agent"))

    def joined(self) -> set[str]:
        return {host.name for host in self.cloud.control.hosts.connected()}

    def kill(self, name: str) -> None:
        """`kill -9`, if it lives; the agent is started again at once."""
        with suppress(ProcessLookupError):
            os.kill(self._pids[name], signal.SIGKILL)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """The answer; None for a refusal, which must be a good one."""
        answer = self.client.request(method, f"/{path}", json=body)
        assert answer.status_code < 500, (method, path, body, answer.text)
        return (answer.json() if answer.content else {"done": True}) if answer.status_code < 300 else None

    def drop(self, path: str) -> None:
        """Delete it, which nothing may stand against."""
        answer = self.client.delete(f"/{path}")
        assert answer.status_code == 204, (path, answer.text)

    def ids(self, collection: str, **query: Any) -> list[str]:
        found = self.client.get(f"/{collection}", params={"fields": "id", **query}).json()
        return [item["id"] for item in found[collection.replace("-", "_").rpartition("/")[2]]]


class Walk:
    """A user who makes, changes and deletes what comes to mind, while agents die."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.dice = random.Random(SEED)
        self.number = 0
        self.acts: list[Callable[[], object]] = [
            self.network, self.network, self.port, self.port, self.port, self.port, self.router, self.interface,
            self.interface, self.gateway, self.floating, self.floating, self.forward, self.group, self.rule, self.rule,
            self.change_port, self.change_router, self.trunk, self.shape, self.plug, self.plug, self.unplug, self.leave,
            self.remove, self.remove, self.remove,
        ]  # fmt: skip

    def any(self, collection: str, **query: Any) -> str:
        found = self.place.ids(collection, **query)
        return self.dice.choice(found) if found else "00000000-0000-4000-8000-000000000000"

    def cycle(self) -> None:
        deadly = self.dice.randrange(STEPS)
        for step in range(STEPS):
            self.dice.choice(self.acts)()
            if step == deadly:
                self.speak()
                time.sleep(self.dice.random() * MOMENT)
                self.place.kill(self.dice.choice(list(HOSTS)))

    def begin(self) -> None:
        """Have a network outside, and a little of everything."""
        outside = self.place.ask("POST", "networks", {"network": {"router:external": True}})["network"]["id"]
        subnet = {"network_id": outside, "ip_version": 4, "cidr": f"{OUTSIDE}.0/24", "enable_dhcp": False}
        self.place.ask("POST", "subnets", {"subnet": subnet})
        self.place.ask("PUT", f"quotas/{self.place.project}", {"quota": dict.fromkeys(QUOTAS, -1)})
        for act in (self.network, self.network, self.group, self.rule, self.router, self.router, self.interface,
                    self.interface, self.gateway, *[self.port] * 4, self.floating, self.trunk, self.plug):  # fmt: skip
            act()

    def network(self) -> None:
        self.number += 1
        made = self.place.ask("POST", "networks", {"network": {}})["network"]["id"]
        four = {"network_id": made, "ip_version": 4, "cidr": f"10.{self.number % 250}.0.0/24"}
        self.place.ask("POST", "subnets", {"subnet": four})
        if self.dice.random() < 0.5:
            modes = dict.fromkeys(("ipv6_ra_mode", "ipv6_address_mode"), self.dice.choice(MODES))
            six = {"network_id": made, "ip_version": 6, "cidr": f"fd00:{self.number}::/64", **modes}
            self.place.ask("POST", "subnets", {"subnet": six})

    def inside(self) -> str:
        return self.any("networks", **{"router:external": False})

    def port(self) -> None:
        host = self.dice.choice(list(HOSTS))
        words: dict[str, Any] = {"network_id": self.inside(), "binding:host_id": host}
        if self.dice.random() < 0.9:
            words |= {"device_owner": "compute:nova", "device_id": secrets.token_hex(16)}
        if self.dice.random() < 0.4:
            words["security_groups"] = [self.any("security-groups")]
        self.place.ask("POST", "ports", {"port": words})

    def router(self) -> None:
        kind = self.dice.choice(({}, {"ha": True}, {"distributed": True}))
        self.place.ask("POST", "routers", {"router": kind})

    def interface(self) -> None:
        subnet = {"subnet_id": self.any("subnets", network_id=self.inside())}
        self.place.ask("PUT", f"routers/{self.any('routers')}/add_router_interface", subnet)

    def gateway(self) -> None:
        info = {"network_id": self.any("networks", **{"router:external": True})} if self.dice.random() < 0.8 else None
        self.place.ask("PUT", f"routers/{self.any('routers')}", {"router": {"external_gateway_info": info}})

    def change_router(self) -> None:
        words = self.dice.choice(
            ({"admin_state_up": False}, {"admin_state_up": True}, {"routes": []}, {"enable_snat": False})
        )
        self.place.ask("PUT", f"routers/{self.any('routers')}", {"router": words})

    def floating(self) -> None:
        words = {"floating_network_id": self.any("networks", **{"router:external": True})}
        made = self.place.ask("POST", "floatingips", {"floatingip": words})
        if made:
            port = {"port_id": self.any("ports", device_owner="compute:nova")}
            self.place.ask("PUT", f"floatingips/{made['floatingip']['id']}", {"floatingip": port})

    def forward(self) -> None:
        ports = self.place.client.get("/ports", params={"device_owner": "compute:nova"}).json()["ports"]
        if ports:
            port = self.dice.choice(ports)
            words = {
                "internal_port_id": port["id"], "internal_ip_address": port["fixed_ips"][0]["ip_address"],
                "internal_port": 80, "external_port": self.dice.randrange(1, 65535), "protocol": "tcp",
            }  # fmt: skip
            path = f"floatingips/{self.any('floatingips')}/port_forwardings"
            self.place.ask("POST", path, {"port_forwarding": words})

    def group(self) -> None:
        words = {"name": "g", "stateful": self.dice.random() < 0.7}
        self.place.ask("POST", "security-groups", {"security_group": words})

    def rule(self) -> None:
        words = {"security_group_id": self.any("security-groups"), "direction": "ingress"}
        more = self.dice.choice(
            ({"remote_group_id": self.any("security-groups")}, {"protocol": "icmp"}, {"remote_ip_prefix": "10.0.0.0/8"})
        )
        self.place.ask("POST", "security-group-rules", {"security_group_rule": {**words, **more}})

    def change_port(self) -> None:
        pair = {"ip_address": "10.99.0.0/24", "mac_address": "fa:16:3e:00:00:99"}
        words = self.dice.choice(
            (
                {"binding:host_id": self.dice.choice(list(HOSTS))},
                {"security_groups": [self.any("security-groups")]},
                {"port_security_enabled": False, "security_groups": [], "allowed_address_pairs": []},
                {"allowed_address_pairs": [pair]},
                {"admin_state_up": self.dice.random() < 0.5},
                {"qos_policy_id": self.any("qos/policies")},
            )
        )
        self.place.ask("PUT", f"ports/{self.any('ports', device_owner='compute:nova')}", {"port": words})

    def trunk(self) -> None:
        parent, child = self.any("ports"), self.any("ports")
        sub = {"port_id": child, "segmentation_type": "vlan", "segmentation_id": self.dice.randrange(1, 4094)}
        self.place.ask("POST", "trunks", {"trunk": {"port_id": parent, "sub_ports": [sub]}})

    def shape(self) -> None:
        made = self.place.ask("POST", "qos/policies", {"policy": {"name": "q"}})["policy"]["id"]
        rule = {"bandwidth_limit_rule": {"max_kbps": 5000, "direction": self.dice.choice(("egress", "ingress"))}}
        self.place.ask("POST", f"qos/policies/{made}/bandwidth_limit_rules", rule)
        port = self.any("ports", device_owner="compute:nova")
        self.place.ask("PUT", f"ports/{port}", {"port": {"qos_policy_id": made}})

    def plug(self) -> None:
        """Guests come up: hypervisors open the taps of ports that their host has."""
        for host in self.place.hosts.values():
            home = Namespace(names.fabric(host.mark))
            for port in self.place.ids("ports", device_owner="compute:nova", **{"binding:host_id": host.name}):
                if port not in host.taps and home.exists() and self.dice.random() < 0.5:
                    host.taps[port] = home.visit(lambda port=port: open_tap(names.tap(port)))

    def unplug(self) -> None:
        for host in self.place.hosts.values():
            for port in list(host.taps):
                if self.dice.random() < 0.5:
                    os.close(host.taps.pop(port))

    def speak(self) -> None:
        """Guests ask their gateways something, which the kernel keeps in mind."""
        ports = {port["id"]: port for port in self.place.client.get("/ports").json()["ports"]}
        for port_id, handle in ((key, tap) for host in self.place.hosts.values() for key, tap in host.taps.items()):
            fixed = [one["ip_address"] for one in ports.get(port_id, {"fixed_ips": []})["fixed_ips"]]
            for source in (one for one in fixed if "." in one):
                frame = frames.packet(
                    frames.BROADCAST, mac=ports[port_id]["mac_address"], source=source,
                    destination=f"{source.rpartition('.')[0]}.1", protocol=17, first=self.dice.randrange(1024, 65535),
                    second=53, data=b"question",
                )  # fmt: skip
                with suppress(OSError):  # its device is down
                    os.write(handle, bytes(10) + frame)

    def leave(self) -> None:
        path = f"routers/{self.any('routers')}/remove_router_interface"
        self.place.ask("PUT", path, {"subnet_id": self.any("subnets", network_id=self.inside())})

    def remove(self) -> None:
        collection = self.dice.choice(COLLECTIONS)
        key = self.inside() if collection == "networks" else self.any(collection)
        self.place.ask("DELETE", f"{collection}/{key}")

    def clear(self) -> None:
        """Delete all but the network outside, and wait until it is true on both hosts."""
        ask, ids, drop = self.place.ask, self.place.ids, self.place.drop
        for key in ids("trunks"):
            drop(f"trunks/{key}")
        for key in ids("floatingips"):
            for forward in ids(f"floatingips/{key}/port_forwardings"):
                drop(f"floatingips/{key}/port_forwardings/{forward}")
            drop(f"floatingips/{key}")
        for router in ids("routers"):
            ask("PUT", f"routers/{router}", {"router": {"routes": [], "external_gateway_info": None}})
            ports = self.place.client.get("/ports", params={"device_id": router}).json()["ports"]
            for subnet in {port["fixed_ips"][0]["subnet_id"] for port in ports if port["fixed_ips"]}:
                ask("PUT", f"routers/{router}/remove_router_interface", {"subnet_id": subnet})
            drop(f"routers/{router}")
        for port in ids("ports"):
            ask("DELETE", f"ports/{port}")  # those of DHCP go with their networks
        for collection in ("networks", "qos/policies"):
            for key in ids(collection, **({"router:external": False} if collection == "networks" else {})):
                drop(f"{collection}/{key}")
        for group in ids("security-groups"):
            ask("DELETE", f"security-groups/{group}")
        for host in self.place.hosts.values():
            for handle in host.taps.values():
                os.close(handle)
            host.taps.clear()
        until(lambda: self.place.joined() == set(HOSTS))
        assert audit.stays(self.place.cloud.control.cloud, REST) == []


QUOTAS = ("network", "subnet", "port", "router", "floatingip", "security_group", "security_group_rule", "trunk")
COLLECTIONS = ("networks", "ports", "ports", "routers", "floatingips", "security-groups", "security-group-rules",
               "trunks", "qos/policies")  # fmt: skip
MODES = ("slaac", "dhcpv6-stateful", "dhcpv6-stateless")


@pytest.mark.timeout(7200 if CYCLES > 40 else 300)
def test_random_lives_of_networks_leave_nothing_on_two_hosts_whose_agents_are_killed():
    mark = secrets.token_hex(3)
    spaces = {name: Namespace(f"leak-{mark}-{name}") for name in HOSTS}
    folder = Path(tempfile.mkdtemp(prefix="cml-"))
    try:
        for space in spaces.values():
            space.create()
        spaces["host-1"].visit(lambda: _lay_wire(spaces["host-2"]))
        spaces["host-1"].visit(lambda: live(folder, spaces))
    finally:
        for name, space in spaces.items():
            home = names.fabric(names.suffix(folder / name / "agent"))
            for each in (*(Namespace(path.name) for path in space.path.parent.glob(f"{home}*")), space):
                each.delete()
        shutil.rmtree(folder)


def live(folder: Path, spaces: dict[str, Namespace]) -> None:
    """A walk of CYCLES, after which both hosts are as they were. AssertionError where one is not."""
    with ExitStack() as closing:
        place = Place(folder, spaces, closing)
        walk = Walk(place)
        walk.begin()
        walk.clear()
        clean = {name: host.remains() for name, host in place.hosts.items()}

        def left() -> list[str]:
            found = [differences(clean[name], host.remains()) for name, host in place.hosts.items()]
            return [word for listed in found for word in listed]

        for number in range(1, CYCLES + 1):
            walk.cycle()
            if number % LIFE == 0 or number == CYCLES:
                walk.clear()
                assert "Traceback" not in place.log.read_text()
                assert eventually(lambda: left() == [], 8), "\n".join([*left(), place.log.read_text()[-3000:]])


def _lay_wire(second: Namespace) -> None:
    with Links() as links:
        links.cable("wire0", "wire0", second, mtu=1500)
    for space, address in ((None, HOSTS["host-1"]), (second, HOSTS["host-2"])):
        work = lambda address=address: _configure(address)  # noqa: E731
        work() if space is None else space.visit(work)


def _configure(address: str) -> None:
    with Links() as links:
        links.settle("lo")
        links.settle("wire0")
        links.addresses("wire0", [f"{address}/24"])
