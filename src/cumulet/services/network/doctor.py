# SPDX-License-Identifier: Apache-2.0
"""Whether this machine can carry the cloud's networks; every check makes the thing in a scratch namespace."""

from __future__ import annotations

import functools
import ipaddress
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cumulet.kernel import run, userland
from cumulet.kernel.doctor import Finding, Probe
from cumulet.kernel.link.host import Journal
from cumulet.services.network.types import PHYSICAL, Capabilities, HostState
from cumulet.services.network.types.provider import mappings

if TYPE_CHECKING:
    from cumulet.settings import Settings

_SMALL = 100  # bytes that every network carries
_NFT = "apt-get install libnftables1"
_NEEDED = {
    "namespaces": ("network namespaces and bridges", "run the agent as root"),
    "bridge_filter": ("nftables for bridges: security groups", _NFT),
    "bridge_netfilter": ("connection tracking for bridged packets", "modprobe br_netfilter"),
    "nat": ("nftables NAT: routers and floating IPs", _NFT),
    "tap": ("taps for servers", "modprobe tun"),
}


def probes(settings: Settings) -> list[Probe]:
    """Nothing is needed for the fake engine."""
    if settings.network.driver == "fake":
        return []
    found = functools.cache(functools.partial(_capabilities, apart=settings.network.is_apart))
    checks = [Probe(f"network: {feature}", functools.partial(_needed, found, feature)) for feature in _NEEDED]
    checks.append(Probe("network: external range", lambda: _range(settings.network.external_cidr)))
    return [
        *checks,
        Probe("network: vxlan", lambda: _vxlan(found())),
        Probe("network: QoS", lambda: _qos(found())),
        Probe("network: VLANs", lambda: _tags(found())),
        Probe("network: packet logs", lambda: _packet_logs(found())),
        Probe("network: physical networks", lambda: _physical(settings)),
        Probe("network: other hosts", lambda: _other_hosts(settings)),
        Probe("network: egress", lambda: _egress(found())),
        *_devices(settings),
    ]


def _devices(settings: Settings) -> list[Probe]:
    """What the settings say that ports can be plugged in to, besides the fabric."""
    chosen = settings.network
    cards = [each.rpartition(":")[2] for each in chosen.physical_device_mappings]
    found = [Probe(f"network: card {name}", functools.partial(_card, name)) for name in cards]
    if chosen.vhostuser_socket_dir and chosen.vhostuser_bridge_mappings:
        found.append(Probe("network: switch in user space", lambda: _switch(chosen.vhostuser_socket_dir)))
    return found


def _card(name: str, root: Path = Path("/sys/class/net")) -> Finding:
    folder = root / name / "device"
    if not folder.exists():
        remedy = "name one that is there: --set network.physical_device_mappings=..."
        return Finding("degraded", f"there is no network card {name}", remedy)
    count = len(list(folder.glob("virtfn*")))
    if not count:
        return Finding("degraded", f"{name} has no virtual functions", f"echo 8 > {folder}/sriov_numvfs")
    return Finding("ok", f"{name} has {count} virtual functions for ports")


def _switch(folder: str) -> Finding:
    if shutil.which("ovs-vsctl") is None:
        return Finding("degraded", "there is no ovs-vsctl", "apt-get install openvswitch-switch-dpdk")
    if not Path(folder).is_dir():
        return Finding("degraded", f"there is no {folder} for its sockets", f"mkdir {folder}")
    return Finding("ok", "ports share guests' memory with Open vSwitch")


def _range(cidr: str) -> Finding:
    """Whether the external range is nobody else's on this machine."""
    from pyroute2 import IPRoute

    wanted = ipaddress.ip_network(cidr)
    with IPRoute() as route:
        names = {link["index"]: str(link.get_attr("IFLA_IFNAME")) for link in route.get_links()}
        held = [(names[one["index"]], f"{one.get_attr('IFA_ADDRESS')}/{one['prefixlen']}") for one in route.get_addr()]
    for device, text in held:
        network = ipaddress.ip_interface(text).network
        if network.version == wanted.version and network.overlaps(wanted) and not device.startswith("cml"):
            remedy = "choose another range: --set network.external_cidr=..., external_gateway, external_allocation"
            return Finding("degraded", f"floating IPs would be of {cidr}, but {device} has {text}", remedy)
    return Finding("ok", f"{cidr} is free for floating IPs")


def _capabilities(*, apart: bool) -> Capabilities:
    """What the engine finds; `apart`: in namespaces of the user's."""
    if apart:
        command = [*userland.aside(), sys.executable, "-m", "cumulet.services.network.drivers.fabric.probe"]
        return msgspec.json.decode(run.run(command).stdout, type=Capabilities)
    # Loaded late: a machine without libnftables must still get its answer from the other probes.
    from cumulet.services.network.drivers.fabric.probe import probe

    return probe()


def _needed(found: functools._lru_cache_wrapper[Capabilities], feature: str) -> Finding:
    what, remedy = _NEEDED[feature]
    capabilities = found()
    if getattr(capabilities, feature):
        return Finding("ok", what)
    if feature == "bridge_netfilter" and _module_waits():
        return Finding("ok", f"{what}: the agent will load the kernel module")
    return Finding("missing", f"{what}: {capabilities.missing.get(feature, 'not tried')}", remedy)


def _module_waits() -> bool:
    from cumulet.services.network.drivers.fabric import modules

    return modules.can_be_loaded()


def _vxlan(found: Capabilities) -> Finding:
    if found.vxlan:
        return Finding("ok", "vxlan: networks span hosts")
    return Finding(
        "degraded", f"networks stay on one host: {found.missing.get('vxlan', 'not tried')}", "modprobe vxlan"
    )


def _qos(found: Capabilities) -> Finding:
    """Which QoS rules ports here are held to; others are refused for them."""
    if found.qos_rules and "qos" not in found.missing:
        return Finding("ok", "ports are held to QoS policies: " + ", ".join(found.qos_rules))
    why = found.missing.get("qos", "not tried")
    return Finding("degraded", f"QoS rules are refused for ports here: {why}", "modprobe nft_limit")


def _packet_logs(found: Capabilities) -> Finding:
    """Whether packets of ports here can be logged."""
    if "packet_logs" not in found.missing:
        return Finding("ok", "packets are logged where logs ask for it")
    return Finding(
        "degraded", f"no packets are logged on this host: {found.missing['packet_logs']}", "modprobe nft_log"
    )


def _tags(found: Capabilities) -> Finding:
    """Whether VLAN networks and trunks' subports can be on this host."""
    if found.tags:
        ways = {"8021q": "the kernel's VLAN devices", "bpf": "packet programs (BPF)"}
        return Finding("ok", f"VLAN networks and trunks: by {ways.get(found.tags, found.tags)}")
    why = found.missing.get("tags", "not tried")
    return Finding("degraded", f"no VLAN networks and no trunks on this host: {why}", "modprobe 8021q")


def _physical(settings: Settings) -> Finding:
    """Whether the devices that are said to lead to physical networks are there, here or in the fabric."""
    from cumulet.services.network.drivers.fabric import external, names
    from cumulet.services.network.drivers.fabric.namespace import Namespace

    wanted = mappings(settings.network.physical_interface_mappings)
    if settings.network.external_device:
        wanted[PHYSICAL] = settings.network.external_device
    home = Namespace(names.fabric(names.suffix(settings.state)))
    lost = [
        f"{device} ({physical})"
        for physical, device in sorted(wanted.items())
        if not external.has(device) and not (home.exists() and home.visit(functools.partial(external.has, device)))
    ]
    if lost:
        remedy = "set network.physical_interface_mappings to devices of this host"
        return Finding("missing", f"no such device: {', '.join(lost)}", remedy)
    said = ", ".join(f"{physical} by {device}" for physical, device in sorted(wanted.items()))
    return Finding("ok", said or "no device of this host leads to a physical network")


def _other_hosts(settings: Settings) -> Finding:
    """Whether what tunnels carry reaches the hosts that this one shares networks with, in whole packets."""
    from cumulet.services.network.drivers.fabric.paths import carries

    size = settings.network.mtu
    endpoints = sorted({remote.endpoint for remote in _last_state(settings).remotes})
    try:
        narrow = [one for one in endpoints if not carries(one, size)]
        silent = [one for one in narrow if not carries(one, _SMALL)]
    except PermissionError:
        return Finding("degraded", "the way to other hosts cannot be tried", "run `cumulet doctor` as root")
    if silent:
        remedy = f"let ICMP and UDP port {settings.network.tunnel_port} pass between the hosts"
        return Finding("degraded", f"no answer from {', '.join(silent)}", remedy)
    if narrow:
        remedy = "set network.mtu on all hosts to what the network between them carries"
        return Finding("degraded", f"packets of {size} bytes do not reach {', '.join(narrow)}", remedy)
    if not endpoints:
        return Finding("ok", "this host shares no network with another one yet")
    return Finding("ok", f"packets of {size} bytes reach {len(endpoints)} other hosts whole")


def _last_state(settings: Settings) -> HostState:
    """What the host was told last."""
    folder = settings.state / "agent" / "journal" / "network"
    record = Journal(folder).get("state") if folder.is_dir() else None
    return msgspec.convert(record, HostState) if record is not None else HostState()


def _egress(found: Capabilities) -> Finding:
    if found.egress:
        return Finding("ok", "pasta carries guests' packets to the outside world")
    why = found.missing.get("egress", "not tried")
    remedy = "apt-get install passt" if shutil.which("pasta") is None else "run Cumulet where pasta may make a sandbox"
    return Finding("degraded", f"guests reach this host and each other, not the outside world: {why}", remedy)
