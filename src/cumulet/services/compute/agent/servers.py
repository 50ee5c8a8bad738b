# SPDX-License-Identifier: Apache-2.0
"""The verbs that the control plane calls on a host, and what keeps its servers true to the journal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import msgspec

from cumulet.kernel.errors import Conflict, CumuletError, NotReady
from cumulet.kernel.link.host import Body, Host, Verb
from cumulet.services.block_storage.contract import HostVolumes
from cumulet.services.compute.agent import shares
from cumulet.services.compute.agent.backup import ServersKeeper
from cumulet.services.compute.agent.consoles import ConsolesOnHost
from cumulet.services.compute.agent.disks import DisksOnHost
from cumulet.services.compute.agent.latecomers import Latecomers
from cumulet.services.compute.agent.life import LifeOnHost
from cumulet.services.compute.agent.moves import MovesOnHost
from cumulet.services.compute.agent.quiesce import quiesced
from cumulet.services.compute.agent.records import Record, Records, Wish
from cumulet.services.compute.agent.resize import ResizesOnHost
from cumulet.services.compute.drivers.base import Hypervisor, Stopped, boot_id
from cumulet.services.compute.types import PortSpec, PowerState, ServerSpec, VolumeSpec
from cumulet.services.image.contract import HostImages
from cumulet.services.network.contract import HostPorts

LOG = logging.getLogger(__name__)

ROTATE_PERIOD = 30.0  # seconds between two looks at the logs
DRAIN_TIMEOUT = 20.0  # seconds that guests get when the whole host is shut down
STALL_PERIOD = 5.0  # seconds between two looks for servers whose disks have no room
STOPPED_EVENT = "server.stopped"
POWER_EVENT = "server.power"
_AT_REST = ("shutdown", "suspended")


class ServersOnHost:
    """Compute on one host.

    Every verb takes the server's `id`. The journal is written before a server is made and after each change that
    succeeded, so that whatever a crash leaves behind is either finished by the same verb coming again, or swept away.
    """

    def __init__(self, host: Host, make_hypervisor: Callable[[Stopped], Hypervisor]) -> None:
        self._host = host
        self._copies = host.state / "compute-images"  # of root disks, until the image service has them
        self._records = Records(host.journal("servers"))
        self._hypervisor = make_hypervisor(self._stopped)
        self._boot_id = boot_id()
        self._stalled: set[str] = set()
        self._periodic: list[Future[Any]] = []
        self._closing = False
        self._resizes = ResizesOnHost(self._hypervisor, self._records, self._wish)
        self._latecomers = Latecomers(self._start_late)
        self._moves = MovesOnHost(self._hypervisor, self._records, self._close_volume)
        self._life = LifeOnHost(self._hypervisor, self._records, self._wish)
        self._consoles = ConsolesOnHost(host, self._hypervisor)
        self.disks = DisksOnHost(self._hypervisor, self._records)
        self.keeper = ServersKeeper(self._hypervisor, self._records, host.contracts)

    @property
    def verbs(self) -> Mapping[str, Verb]:
        return {
            "server.build": self.build,
            "server.start": self.power_on,
            "server.stop": self.power_off,
            "server.reboot": self.reboot,
            "server.pause": self.pause,
            "server.unpause": self.unpause,
            "server.destroy": self.destroy,
            "server.attach_volume": self.attach_volume,
            "server.detach_volume": self.detach_volume,
            "server.swap_volume": self.swap_volume,
            "server.attach_port": self.attach_port,
            "server.detach_port": self.detach_port,
            "server.console": self.console,
            "server.consoles": self._consoles.way,
            "server.diagnostics": self.diagnostics,
            "server.power": self.power,
            **self._life.verbs,
            **self._resizes.verbs,
            **self._moves.verbs,
            "server.resize_disk": self.resize_disk,
            "server.limit_disk": self.limit_disk,
            "server.snapshot_disk": self.snapshot_disk,
            "server.create_image": self.create_image,
            "server.report": lambda _body: self.report(),
        }

    def start(self) -> None:
        """Take up what runs, start what the machine's own restart ended, sweep away what nobody knows."""
        for cut_off in self._copies.glob("*"):
            cut_off.unlink()
        records = self._records.all()
        for server_id in self._hypervisor.list():
            if server_id not in records:
                LOG.warning("server %s is on this host though no record names it: removed", server_id)
                self._hypervisor.destroy(server_id)
        for record in records.values():
            self._restore(record)
        for period, work in ((ROTATE_PERIOD, self._hypervisor.rotate), (STALL_PERIOD, self.look_for_room)):
            self._periodic.append(self._host.loop.start(self._every(period, work)))

    def stop(self) -> None:
        self._closing = True
        self._latecomers.stop()
        for each in self._periodic:
            each.cancel()
        self._consoles.stop()
        self._hypervisor.close()

    def shutdown(self) -> None:
        """End all servers for now; the next start brings back those that were running."""
        with ThreadPoolExecutor(4, thread_name_prefix="servers") as pool:
            list(pool.map(self._drain, self._records.all().values()))
        self.stop()

    def report(self) -> Body:
        return {
            "servers": {server_id: self._power(server_id)["power"] for server_id in self._records.all()},
            "capabilities": {**msgspec.to_builtins(self._hypervisor.capabilities()), "shares": self._shares()},
            "usage": msgspec.to_builtins(self._hypervisor.usage()),
        }

    def _shares(self) -> Body:
        settings = self._host.settings
        return {} if settings is None else msgspec.to_builtins(shares.of(settings.compute))

    def inventory(self) -> Body:
        """What the hypervisor has, whoever knows of it, and what the journal says that it should have."""
        return {
            "machines": {server_id: int(power) for server_id, power in self._hypervisor.list().items()},
            "records": {
                server_id: {
                    "volumes": [volume.volume_id for volume in record.spec.volumes],
                    "ports": [port.id for port in record.spec.ports],
                }
                for server_id, record in self._records.all().items()
            },
        }

    # -- verbs -------------------------------------------------------------------------------------------------------

    def build(self, body: Body) -> Body:
        """Make the server of `spec` (a ServerSpec) and start it."""
        spec = msgspec.convert(body["spec"], ServerSpec)
        with self._records.lock(spec.id):
            self._records.put(Record(spec=spec, wish="running", boot_id=self._boot_id))
            self._hypervisor.build(spec)
            self._hypervisor.start(spec)
            return self._power(spec.id)

    def power_on(self, body: Body) -> Body:
        """Start a server that is stopped."""
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            self._hypervisor.build(record.spec)
            self._hypervisor.start(record.spec)
            return self._wish(record, "running")

    def power_off(self, body: Body) -> Body:
        """Stop it: by its power button for `timeout` seconds, then by force."""
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            self._hypervisor.stop(body["id"], float(body.get("timeout", 0)))
            return self._wish(record, "shutdown")

    def reboot(self, body: Body) -> Body:
        """`soft` or not; a soft one that takes longer than `timeout` seconds becomes a hard one."""
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            soft, timeout = bool(body.get("soft")), float(body.get("timeout", 0))
            self._hypervisor.build(record.spec)
            self._hypervisor.reboot(record.spec, soft=soft, timeout=timeout)
            return self._wish(record, "running")

    def pause(self, body: Body) -> Body:
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            self._hypervisor.pause(body["id"])
            return self._wish(record, "paused")

    def unpause(self, body: Body) -> Body:
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            self._hypervisor.unpause(body["id"])
            return self._wish(record, "running")

    def destroy(self, body: Body) -> Body:
        """End the server and remove its files, taps and record; nothing happens where it is not here."""
        with self._records.lock(body["id"]):
            record = self._records.find(body["id"])
            self._hypervisor.destroy(body["id"])
            if record is not None:
                for port in record.spec.ports:
                    self._close_tap(port.id)
                for volume in record.spec.volumes:
                    self._close_volume(volume.volume_id)
                self._records.delete(body["id"])
        return {}

    def attach_volume(self, body: Body) -> Body:
        """Plug in `volume` (a VolumeSpec)."""
        volume = msgspec.convert(body["volume"], VolumeSpec)
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            self._hypervisor.attach_disk(body["id"], volume)
            others = [each for each in record.spec.volumes if each.volume_id != volume.volume_id]
            self._change(record, volumes=[*others, volume])
        return {}

    def detach_volume(self, body: Body) -> Body:
        """Unplug the volume `volume_id`; nothing happens where the server is not here."""
        with self._records.lock(body["id"]):
            record = self._records.find(body["id"])
            if record is not None:
                self._hypervisor.detach_disk(body["id"], body["volume_id"])
                self._close_volume(body["volume_id"])
                left = [each for each in record.spec.volumes if each.volume_id != body["volume_id"]]
                self._change(record, volumes=left)
        return {}

    def swap_volume(self, body: Body) -> Body:
        """Give the running server `volume` (a VolumeSpec), with the content of `volume_id`, in its place: `done`.

        With `settle` nothing is begun: `done` is whether the server has the new one.
        """
        volume, old_id, settle = msgspec.convert(body["volume"], VolumeSpec), body["volume_id"], body.get("settle")
        with self._records.lock(body["id"]):
            record = self._records.find(body["id"])
            have = {} if record is None else {each.volume_id: each for each in record.spec.volumes}
            if record is None or old_id not in have:
                if not settle and volume.volume_id not in have:
                    raise Conflict(f"volume {old_id} is not the server's", code="DiskNotFound")
                return {"done": volume.volume_id in have}
            done = self._hypervisor.swap_disk(body["id"], old_id, volume, settle=bool(settle))
            if done:
                self._change(record, volumes=[volume if each == old_id else have[each] for each in have])
            self._close_volume(old_id if done else volume.volume_id)
        return {"done": done}

    def attach_port(self, body: Body) -> Body:
        """Plug in `port` (a PortSpec)."""
        port = msgspec.convert(body["port"], PortSpec)
        with self._records.lock(body["id"]):
            record = self._records.get(body["id"])
            self._hypervisor.attach_port(body["id"], port)
            self._change(record, ports=[*(each for each in record.spec.ports if each.id != port.id), port])
        return {}

    def detach_port(self, body: Body) -> Body:
        """Unplug the port `port_id` and remove its tap; nothing happens where the server is not here."""
        with self._records.lock(body["id"]):
            record = self._records.find(body["id"])
            if record is not None:
                self._hypervisor.detach_port(body["id"], body["port_id"])
                self._close_tap(body["port_id"])
                self._change(record, ports=[each for each in record.spec.ports if each.id != body["port_id"]])
        return {}

    def console(self, body: Body) -> Body:
        """The last `lines` lines (None: all) of the serial console: `{"output": bytes}`."""
        return {"output": self._hypervisor.console(body["id"], body.get("lines"))}

    def diagnostics(self, body: Body) -> Body:
        found: Body = msgspec.to_builtins(self._hypervisor.diagnostics(body["id"]))
        return found

    def power(self, body: Body) -> Body:
        return self._power(body["id"])

    def create_image(self, body: Body) -> Body:
        """Fill the queued image `image_id` with a copy of the root disk (qcow2)."""
        with self._records.lock(body["id"]):
            spec = self._records.get(body["id"]).spec
            self._copies.mkdir(exist_ok=True, mode=0o700)
            target = self._copies / f"{body['image_id']}.qcow2"
            target.unlink(missing_ok=True)
            try:
                with quiesced(self._hypervisor, spec):
                    self._hypervisor.copy_root(spec.id, target)
                self._host.contracts.use(HostImages).push(body["image_id"], target)
            finally:
                target.unlink(missing_ok=True)
        return {}

    def resize_disk(self, body: Body) -> Body:
        """The volume `volume_id` has `size` bytes from now on; `done` is false where no running server has it open."""
        generation = int(body.get("generation", 0))
        self._host.contracts.use(HostVolumes).grow(body["volume_id"], int(body["size"]), generation=generation)
        return {"done": self.disks.resize(body["volume_id"], int(body["size"]), generation=generation)}

    def limit_disk(self, body: Body) -> None:
        """Keep the volume `volume_id`, attached with this `generation`, to `limits` from now on."""
        with self._records.lock(body["id"]):
            record = self._records.find(body["id"])
            if record is None:
                return
            for volume in record.spec.volumes:
                if volume.volume_id == body["volume_id"] and volume.generation == body["generation"]:
                    limited = msgspec.structs.replace(volume, limits=dict(body["limits"]))
                    self._hypervisor.limit_disk(body["id"], limited)
                    others = [limited if each is volume else each for each in record.spec.volumes]
                    self._change(record, volumes=others)

    def snapshot_disk(self, body: Body) -> Body:
        """Take or, with `drop`, forget the internal snapshot `name` of the volume `volume_id`; `done` as above."""
        work = self.disks.drop_snapshot if body.get("drop") else self.disks.snapshot
        return {"done": work(body["volume_id"], body["name"], generation=int(body.get("generation", 0)))}

    def look_for_room(self) -> None:
        """Tell of servers that are held since a disk of theirs has no room, and let them try again.

        One that its user has paused stays so.
        """
        held = set(self._hypervisor.stalled())
        for server_id in self._stalled - held:
            LOG.info("server %s is not held any more", server_id)
            self._host.emit(POWER_EVENT, {"id": server_id})
        for server_id in held - self._stalled:
            LOG.warning("server %s is held: a disk of it has no room", server_id)
            self._host.emit(POWER_EVENT, {"id": server_id})
        again, self._stalled = held & self._stalled, held
        for server_id in sorted(again):  # those that are new are held until it is known
            with self._records.lock(server_id):
                record = self._records.find(server_id)
                if record is not None and record.wish == "running":
                    with suppress(CumuletError):
                        self._hypervisor.unpause(server_id)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _power(self, server_id: str) -> Body:
        # One that is about to run has not stopped.
        late = self._latecomers.has(server_id)
        return {"power": int(PowerState.RUNNING if late else self._hypervisor.power(server_id))}

    def _wish(self, record: Record, wish: Wish) -> Body:
        self._records.put(msgspec.structs.replace(record, wish=wish, boot_id=self._boot_id))
        return self._power(record.spec.id)

    def _change(self, record: Record, **changes: Any) -> None:
        spec = msgspec.structs.replace(record.spec, **changes)
        self._records.put(msgspec.structs.replace(record, spec=spec))

    def _close_tap(self, port_id: str) -> None:
        self._host.contracts.use(HostPorts).close_tap(port_id)

    def _close_volume(self, volume_id: str) -> None:
        self._host.contracts.use(HostVolumes).close(volume_id)

    def _restore(self, record: Record) -> None:
        server_id = record.spec.id
        with self._records.lock(server_id):
            runs = self._hypervisor.adopt(server_id)
            try:
                record = self._moves.settled(record)
            except CumuletError as error:  # an order for the server will do it
                LOG.error("what a volume of server %s was exchanged for is not known: %s", server_id, error)
                return
            if runs:
                self._limit(record.spec)
                if record.wish == "running" and self._hypervisor.power(server_id) == PowerState.PAUSED:
                    # Whoever died has held it still for a moment.
                    self._hypervisor.unpause(server_id)
                return
            if record.wish in _AT_REST:
                return
            if record.boot_id != self._boot_id and not self._host.settings.compute.resume_guests_state_on_host_boot:
                self._wish(record, "shutdown")
                return
            if record.boot_id == self._boot_id:
                # The machine was not restarted: the server ended while nobody looked.
                self._wish(record, "shutdown")
                return
            if not self._start_again(record):
                self._latecomers.add(server_id)

    def _start_again(self, record: Record) -> bool:
        """False where it has to wait for the control plane, which alone has the keys of its disks."""
        server_id = record.spec.id
        try:
            self._hypervisor.start(record.spec)
            if record.wish == "paused":
                self._hypervisor.pause(server_id)
        except CumuletError as error:
            if isinstance(error, NotReady) and any(volume.encrypted for volume in record.spec.volumes):
                LOG.warning("server %s is started later: %s", server_id, error)
                return False
            LOG.exception("server %s could not be started again: %s", server_id, error)
            self._wish(record, "shutdown")
        else:
            self._wish(record, record.wish)
        return True

    def _start_late(self, server_id: str) -> bool:
        """The same, some time later: whoever did something with the server meanwhile has settled it."""
        with self._records.lock(server_id):
            record = self._records.find(server_id)
            if record is None or record.wish in _AT_REST or record.boot_id == self._boot_id:
                return True
            if not self._start_again(record):
                return False
            failed = self._records.get(server_id).wish == "shutdown"
        if failed:
            self._host.emit(STOPPED_EVENT, {"id": server_id, "reason": "killed"})
        return True

    def _limit(self, spec: ServerSpec) -> None:
        """A server that was just started when the agent ended may lack its limits."""
        for volume in spec.volumes:
            if volume.limits:
                try:
                    self._hypervisor.limit_disk(spec.id, volume)
                except CumuletError as error:
                    LOG.error("volume %s of server %s is without its limits: %s", volume.volume_id, spec.id, error)

    def _drain(self, record: Record) -> None:
        with self._records.lock(record.spec.id):
            if record.wish == "suspended":
                return
            self._hypervisor.stop(record.spec.id, min(self._host.settings.compute.stop_timeout, DRAIN_TIMEOUT))
            for port in record.spec.ports:
                self._close_tap(port.id)
            if record.wish != "shutdown":
                self._records.put(msgspec.structs.replace(record, boot_id=""))

    def _stopped(self, server_id: str, reason: str) -> None:
        """A server ended by itself; the verbs that end one never come here."""
        with self._records.lock(server_id):
            record = self._records.find(server_id)
            if self._closing or record is None or self._hypervisor.power(server_id) != PowerState.SHUTDOWN:
                return
            self._wish(record, "shutdown")
        LOG.info("server %s ended: %s", server_id, reason)
        self._host.emit(STOPPED_EVENT, {"id": server_id, "reason": reason})

    async def _every(self, period: float, work: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(period)
            try:
                await self._host.loop.asyncio.run_in_executor(None, work)
            except Exception:
                LOG.exception("work that is done now and then failed")
