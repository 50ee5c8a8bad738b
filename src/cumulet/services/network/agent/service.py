# SPDX-License-Identifier: Apache-2.0
"""Verbs of the network's host part, and the journal from which a host rebuilds its network without a controller."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cumulet.kernel import userland
from cumulet.kernel.errors import Conflict
from cumulet.kernel.link import own_address
from cumulet.kernel.link.host import Body, Host, Verb
from cumulet.services.network.agent.delta import merge
from cumulet.services.network.agent.ingress import Ingress, outlet
from cumulet.services.network.agent.metadata import MetadataSource
from cumulet.services.network.agent.meters import Meters
from cumulet.services.network.agent.offers import pluggers, promises
from cumulet.services.network.contract import HostPorts
from cumulet.services.network.drivers.base import Fabric, Metadata
from cumulet.services.network.drivers.fabric import names
from cumulet.services.network.drivers.fake import FakeFabric
from cumulet.services.network.drivers.plugs import Plugs
from cumulet.services.network.types import PHYSICAL, Applied, HostDelta, HostReport, HostState
from cumulet.services.network.types.connections import Connection
from cumulet.services.network.types.provider import mappings

LOG = logging.getLogger(__name__)

_RECORD = "state"
_RESOLV_CONF = ("/etc/resolv.conf", "/run/systemd/resolve/resolv.conf")
_LOOPBACK = ("127.", "::1")
TOO_OLD = "GenerationTooOld"


class NetworkHost:
    """The HostService of the network; offers HostPorts to the hypervisor's host part."""

    def __init__(self, host: Host, fabric: Fabric | None = None) -> None:
        self._host = host
        self._journal = host.journal("network")
        self._endpoint = "" if userland.entered() else own_address.own(host, host.settings.network.tunnel_address)
        beside = pluggers(host)
        engine = fabric or _engine(host, MetadataSource(host.call), self._endpoint)
        self._fabric: Fabric = Plugs(engine, beside) if beside else engine
        self._meters = Meters(
            self._fabric,
            host.journal("network.meters"),
            host.call,
            every=host.settings.network.meter_interval,
            report=host.settings.network.meter_report_interval,
        )
        self._ingress = Ingress(host.loop, host.journal("network.ingress"), outlet(host.state))
        self.at_the_door = self._ingress.verbs
        self._offers = promises(host.settings.network, host.name)
        for each in beside:
            self._offers |= each.offers()
        self._lock = threading.Lock()
        self._state = HostState()
        self._last = Applied(generation=0)
        self._telling = threading.Lock()
        self._told: list[str] = []
        self._fabric.on_turn(self._tell_routers)
        self._leaving = threading.Event()
        self.verbs: Mapping[str, Verb] = {
            "network.apply": self._apply,
            "network.report": lambda _: self.report(),
            "network.look": self._look,
            "network.connections": self._connections,
            "network.adopt": self._adopt,
        }
        host.contracts.offer(HostPorts, lambda: _Ports(self._fabric, self._tell))

    def start(self) -> None:
        """See HostService: the last state from the journal; a no-op where it still stands."""
        self._ingress.start()
        # Nobody but the engine touches what the fake one has in memory, and there may be thousands of such hosts.
        if self._host.settings.network.repair_interval and self._fabric.capabilities.driver != "fake":
            threading.Thread(target=self._care, name="network care", daemon=True).start()
        record = self._journal.get(_RECORD)
        if record is None:
            return
        with self._lock:
            self._state = msgspec.convert(record, HostState)
            self._last = self._fabric.apply(self._state)
            self._meters.follow(self._state.routers)
        for key, reason in self._last.failed.items():
            LOG.error("network object %s could not be brought back: %s", key, reason)

    def stop(self) -> None:
        """See HostService."""
        self._leaving.set()
        self._ingress.stop()
        self._meters.stop()
        with self._lock:
            self._fabric.stop()

    def shutdown(self) -> None:
        """See LeavesNothing."""
        record = self._journal.get(_RECORD)
        if record is not None:
            self._meters.note(msgspec.convert(record, HostState).routers)
        self._fabric.shutdown()

    def report(self) -> Body:
        """See HostService; a HostReport."""
        now = self._fabric.report()
        report = HostReport(
            epoch=self._state.epoch,
            generation=self._state.generation,
            ports=now.ports,
            failed=self._last.failed,
            capabilities=msgspec.to_builtins(self._fabric.capabilities),
            endpoint=self._endpoint,
            gateway=_is_gateway(self._host),
            offers={"bridge_mappings": _ways_out(self._host), **self._offers},
            active=self._fabric.active(),
            availability_zone=self._host.settings.network.availability_zone,
        )
        return _body(report)

    def inventory(self) -> Body:
        """The state that is in force, the ports that stand, and what could not be made."""
        with self._lock:
            now = self._fabric.report()
            return {"state": _body(self._state), "ports": now.ports, "failed": self._last.failed}

    def _apply(self, body: Body) -> Body:
        """`network.apply`: `{"state": HostState}` or `{"delta": HostDelta}`; the answer is an Applied.

        Raises Conflict, code GenerationTooOld for what was overtaken, be it by a state of the same generation, and
        FullStateNeeded for a delta that does not fit.
        """
        with self._lock:
            wanted = self._wanted(body)
            self._journal.put(_RECORD, msgspec.to_builtins(wanted))
            left = {port.id for port in self._state.ports} - {port.id for port in wanted.ports}
            self._state = wanted
            self._meters.follow(wanted.routers)
            self._last = self._fabric.apply(wanted)
            for key, reason in self._last.failed.items():
                LOG.error("network object %s could not be made: %s", key, reason)
            self._tell()
            self._tell_routers()
            return _body(msgspec.structs.replace(self._last, left=sorted(left)))

    def _care(self) -> None:
        """Every so often, make good what is not as the last state says, and try again what could not be made."""
        while not self._leaving.wait(self._host.settings.network.repair_interval):
            try:
                self._repair()
            except Exception:
                LOG.exception("the host's network could not be looked at")

    def _repair(self) -> None:
        with self._lock:
            if self._leaving.is_set() or not self._state.generation:
                return
            self._last = self._fabric.repair()
            if self._last.changes:
                LOG.warning("the host's network was not as it should be: %s changes", self._last.changes)
                self._tell()

    def _look(self, body: Body) -> Body:
        """`network.look`: `{"port": id}`; what the port's packets need here, `{"layers": [Layer...]}`."""
        return {"layers": [msgspec.to_builtins(layer) for layer in self._fabric.look(str(body["port"]))]}

    def _connections(self, body: Body) -> Body:
        """`network.connections`: `{"ports": [id...]}`; those of ports that are here, or were a moment ago."""
        return {"connections": msgspec.to_builtins(self._fabric.connections(msgspec.convert(body["ports"], list[str])))}

    def _adopt(self, body: Body) -> Body:
        """`network.adopt`: `{"connections": [Connection...]}` of another host; how many were `taken`."""
        return {"taken": self._fabric.adopt(msgspec.convert(body["connections"], list[Connection]))}

    def _tell(self) -> None:
        """Tell the control plane which ports stand; looking and telling are one, so that the last word is the truth."""
        with self._telling:
            self._host.emit("network.ports", {"ports": self._fabric.report().ports})

    def _tell_routers(self) -> None:
        """Tell the control plane which of the routers that hosts share forward here, if that is news."""
        with self._telling:
            active = self._fabric.active()
            if active != self._told:
                self._told = active
                self._host.emit("network.routers", {"active": active})

    def _wanted(self, body: Body) -> HostState:
        if "delta" in body:
            delta = msgspec.convert(body["delta"], HostDelta)
            if (delta.epoch, delta.base) != (self._state.epoch, self._state.generation):
                raise Conflict("the delta does not fit what this host has", code="FullStateNeeded")
            return merge(self._state, delta)
        state, have = msgspec.convert(body["state"], HostState), self._state
        is_news = state.generation > have.generation or state == have
        if state.epoch == have.epoch and not is_news:
            raise Conflict(f"generation {state.generation} is no newer than {have.generation}", code=TOO_OLD)
        return state


class _Ports:
    """HostPorts over the engine; every coming and going is told."""

    def __init__(self, fabric: Fabric, tell: Callable[[], None]) -> None:
        self._fabric = fabric
        self._tell = tell

    def open_tap(self, port_id: str, *, multi_queue: bool = False) -> int:
        handle = self._fabric.open_tap(port_id, multi_queue=multi_queue)
        self._tell()
        return handle

    def close_tap(self, port_id: str) -> None:
        self._fabric.close_tap(port_id)
        self._tell()


def _is_gateway(host: Host) -> bool:
    """Whether routers may live here."""
    chosen = host.settings.network.gateway
    return bool(chosen == "yes" or (chosen == "auto" and not own_address.is_member(host)))


def _devices(host: Host) -> dict[str, str]:
    """The host's devices that lead to physical networks; without its root they are out of reach."""
    chosen = host.settings.network
    found = mappings(chosen.physical_interface_mappings)
    if chosen.external_device:
        found[PHYSICAL] = chosen.external_device
    if found and userland.entered():
        LOG.warning("without root the host's own devices cannot be taken: %s", ", ".join(sorted(found.values())))
        return {}
    return found


def _ways_out(host: Host) -> dict[str, str]:
    """What leads to each physical network of the host, the one that it always has among them."""
    return {PHYSICAL: names.host_cable(names.suffix(host.state)), **_devices(host)}


def _engine(host: Host, metadata: Metadata, own: str) -> Fabric:
    if host.settings.network.driver == "fake":
        fake: Fabric = FakeFabric(metadata, host.journal("network.fake"))
        return host.injection.wrap(fake, "network.fake", host.name, {"apply": _as_if_applied})
    # Loaded late: netlink and nftables cost a tenth of a second that the fake engine need not pay.
    from cumulet.services.network.drivers.fabric.engine import KernelFabric
    from cumulet.services.network.drivers.fabric.options import FabricOptions

    chosen = host.settings.network
    prefix = chosen.external_cidr.rpartition("/")[2]
    devices = _devices(host)
    outside = PHYSICAL in devices
    address = f"{chosen.external_gateway}/{prefix}" if chosen.external_gateway and not outside else ""
    options = FabricOptions(
        mark=names.suffix(host.state),
        host_address=address,
        host_services=chosen.host_services,
        egress=chosen.egress and not outside,
        resolvers=chosen.dns_servers or _resolvers(),
        devices=devices,
        endpoint=own,
        tunnel_port=chosen.tunnel_port,
        ha_port=chosen.ha_port,
        apart=userland.entered(),
        packet_log=chosen.packet_log or str(host.state / "log" / "packets.log"),
        packet_log_size=host.settings.log.size,
        packet_log_keep=host.settings.log.keep,
        packet_log_rate=chosen.packet_log_rate,
        packet_log_burst=chosen.packet_log_burst,
    )
    fabric = KernelFabric(options, metadata)
    if options.egress and not fabric.capabilities.egress:
        LOG.warning("guests do not reach beyond this host: %s", fabric.capabilities.missing.get("egress"))
    return fabric


def _as_if_applied(state: HostState) -> Applied:
    """What a fabric says that has done all that it was asked for."""
    return Applied(generation=state.generation)


def _resolvers() -> tuple[str, ...]:
    """The DNS servers that the host asks; where that is one of its own, those that this one asks."""
    for path in _RESOLV_CONF:
        try:
            lines = Path(path).read_text(errors="replace").splitlines()
        except OSError:
            continue
        words = (line.split() for line in lines)
        found = [each[1] for each in words if len(each) > 1 and each[0] == "nameserver"]
        asked = tuple(server for server in found if not server.startswith(_LOOPBACK))[:3]
        if asked:
            return asked
    return ()


def _body(struct: msgspec.Struct) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(struct)
    return found
