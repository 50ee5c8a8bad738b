# SPDX-License-Identifier: Apache-2.0
"""The hypervisor on libvirt: servers are domains of a daemon that the operator keeps, in the QEMU driver's folders."""

from __future__ import annotations

import os
import queue
import shutil
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.moment import Moment
from cumulet.kernel.qmp import QmpError, connect
from cumulet.services.compute.drivers.base import Diagnostics, Disk, Stopped, Supplies
from cumulet.services.compute.drivers.libvirt import (
    copies,
    devices,
    disks,
    exchange,
    hotplug,
    memory,
    monitor,
    places,
    plugged,
    quiet,
    secrets,
    taps,
    xen,
)
from cumulet.services.compute.drivers.libvirt.connection import Connection
from cumulet.services.compute.drivers.libvirt.domain import Surroundings, domain
from cumulet.services.compute.drivers.libvirt.library import LibvirtError
from cumulet.services.compute.drivers.libvirt.running import RunningDomain, find, restore, start
from cumulet.services.compute.drivers.parts import NO_RULES, Rules
from cumulet.services.compute.drivers.qemu import (
    backup,
    firmware,
    overlay,
    passthrough,
    rescue,
    resize,
    tpm,
    work,
)
from cumulet.services.compute.drivers.qemu import hotplug as kept_guest
from cumulet.services.compute.drivers.qemu.command_line import SERIAL_SOCKET, Machine, local_node, volume_node
from cumulet.services.compute.drivers.qemu.drives import ROOT_DISK
from cumulet.services.compute.drivers.qemu.folders import ServersInFolders
from cumulet.services.compute.drivers.qemu.memory import FILE, drop
from cumulet.services.compute.types import Display, Parts, PortSpec, PowerState, ServerSpec, VolumeSpec

SYSTEM = "qemu:///system"
BUTTON_PERIOD = 3.0  # seconds between two presses of a power button
KIB_A_MIB = 1 << 10


class LibvirtHypervisor(ServersInFolders):
    """Servers as domains of libvirt's QEMU driver, each with a folder of its own below `folder`.

    Domains are transient: they are there while they run, so that the daemon keeps nothing that could differ from the
    host's journal. Domains that are not of `folder`'s servers are never looked at.

    LIMITATIONS: as the QEMU driver's; a guest whose disk's export (NBD) is away is held for some seconds; USB disks are
    plugged into running guests that have a USB bus only; names of sockets are short, so that `folder` has at most 45
    characters.
    """

    def __init__(
        self,
        folder: Path,
        supplies: Supplies,
        stopped: Stopped,
        uri: str = SYSTEM,
        accelerator: str = "auto",
        displays: Sequence[Display] = ("vnc", "serial"),
        cpu: tuple[str, Sequence[str]] = ("", ()),
        rules: Rules = NO_RULES,
    ) -> None:
        super().__init__(folder, supplies, accelerator, displays, cpu, rules)
        self._stopped = stopped
        self._connection = Connection(uri, self._ended, self._look_again)
        # Servers that run, whose end would be news.
        self._running: set[str] = set()

    def start(self, spec: ServerSpec) -> None:
        with self._lock(spec.id):
            if self.adopt(spec.id):
                return
            folder = self._folder_of(spec.id)
            if memory.is_kept(folder):
                self._take_up(spec, folder)
            else:
                self._boot(rescue.plugged(spec), folder)
            self._running.add(spec.id)

    def adopt(self, server_id: str) -> bool:
        with self._lock(server_id), find(self._connection, server_id) as found:
            if found is None:
                return False
            if memory.is_kept(self._servers / server_id):
                # What is kept is the truth: a domain beside it was about to end, or has not run since.
                self._end(server_id)
                return False
            self._running.add(server_id)
            return True

    def suspend(self, server_id: str) -> None:
        with self._lock(server_id):
            folder = self._folder_of(server_id)
            if memory.is_kept(folder):
                self._end(server_id)
                return
            with self._domain(server_id) as found:
                self._running.discard(server_id)
                try:
                    found.save(folder / FILE)
                finally:
                    self.adopt(server_id)
            tpm.end(folder)

    def interrupt(self, server_id: str) -> None:
        with self._domain(server_id) as found:
            found.interrupt()

    def set_password(self, server_id: str, user: str, password: str) -> None:
        with self._with_agent(server_id) as found:
            quiet.set_password(found, user, password)

    def quiesce(self, server_id: str) -> None:
        with self._with_agent(server_id) as found:
            quiet.freeze(found)

    def unquiesce(self, server_id: str) -> None:
        with self._with_agent(server_id) as found:
            quiet.thaw(found)

    def stop(self, server_id: str, timeout: float) -> None:
        with self._lock(server_id):
            drop(self._servers / server_id)
            with find(self._connection, server_id) as found:
                if found is not None:
                    self._running.discard(server_id)
                    self._press_power_button(server_id, found, timeout)
            self._end(server_id)

    def pause(self, server_id: str) -> None:
        with self._domain(server_id) as found:
            found.pause()

    def unpause(self, server_id: str) -> None:
        with self._domain(server_id) as found:
            found.go_on()

    def destroy(self, server_id: str) -> None:
        with self._lock(server_id):
            if (self._servers / server_id).is_dir():
                self._end(server_id)
                passthrough.give_back(self._servers / server_id)
                shutil.rmtree(self._servers / server_id, ignore_errors=True)
        self._streams.end(server_id)

    def attach_disk(self, server_id: str, volume: VolumeSpec) -> None:
        with self._lock(server_id):
            folder = self._folder_of(server_id)
            if self.adopt(server_id):
                source = self._open(volume)
                with self._domain(server_id) as found:
                    hotplug.plug_volume(self._connection, found, folder, volume, source, kept_guest.recall(folder))

    def detach_disk(self, server_id: str, volume_id: str) -> None:
        with self._lock(server_id):
            if self.adopt(server_id):
                with self._domain(server_id) as found:
                    alias = places.find(self._servers / server_id, found.description(), volume_id)
                    if alias is not None:
                        hotplug.unplug(self._connection, found, server_id, alias)

    def swap_disk(self, server_id: str, volume_id: str, volume: VolumeSpec, *, settle: bool = False) -> bool:
        with self._lock(server_id):
            folder = self._folder_of(server_id)
            if settle and not self.adopt(server_id):
                return False
            with self._domain(server_id) as found:
                if settle:
                    return exchange.settle(found, folder, volume_id, volume.volume_id)
                source = self._open(volume)
                connection, new_id = self._connection, volume.volume_id
                exchange.exchange_disk(connection, found, folder, server_id, volume_id, new_id, source)
                self._limit(found, server_id, volume)
                return True

    def move_disk(self, server_id: str, volume: VolumeSpec, moved: Callable[[], object]) -> None:
        raise Conflict("libvirt moves no volumes of servers that run", code="UnsupportedHardware")

    def has_moved(self, server_id: str, volume: VolumeSpec) -> bool:
        return False

    def limit_disk(self, server_id: str, volume: VolumeSpec) -> None:
        with self._lock(server_id):
            if self.adopt(server_id):
                with self._domain(server_id) as found:
                    self._limit(found, server_id, volume)

    def attach_port(self, server_id: str, port: PortSpec) -> None:
        with self._lock(server_id):
            folder = self._folder_of(server_id)
            if not self.adopt(server_id):
                return
            with self._domain(server_id) as found:
                if not plugged.has(found.description(), devices.port_alias(port.id)):
                    with self._lent([port]) as names:
                        hotplug.plug_port(found, port, names[port.id], kept_guest.recall(folder))

    def detach_port(self, server_id: str, port_id: str) -> None:
        with self._lock(server_id):
            if self.adopt(server_id):
                with self._domain(server_id) as found:
                    hotplug.unplug(self._connection, found, server_id, devices.port_alias(port_id))

    def confirm_resize(self, server_id: str) -> None:
        with self._lock(server_id):
            folder = self._folder_of(server_id)
            if self.adopt(server_id):
                with self._domain(server_id) as found:
                    monitor.work_on(found, resize.forget_live)
            else:
                resize.forget(folder)

    def resize_disk(self, server_id: str, volume_id: str, size: int) -> None:
        with self._domain(server_id) as found:
            there, alias = found.description(), self._alias(found, server_id, volume_id)
            if plugged.is_exported(there, alias):
                monitor.work_on(found, monitor.see_growth, monitor.node_of(found, alias), size)
                if found.is_stalled():
                    found.go_on()
            else:
                found.resize_disk(plugged.targets(there)[alias], size)

    def snapshot_disk(self, server_id: str, volume_id: str, name: str) -> None:
        guest = kept_guest.recall(self._folder_of(server_id))
        with self._domain(server_id) as found:
            node = monitor.node_of(found, self._alias(found, server_id, volume_id))
            if guest.needs_quiesce:
                with quiet.held(found, guest):
                    monitor.work_on(found, work.snapshot_disk, node, name, None, False)
            else:
                monitor.work_on(found, work.snapshot_disk, node, name, None, False)

    def drop_disk_snapshot(self, server_id: str, volume_id: str, name: str) -> None:
        with self._domain(server_id) as found:
            node = monitor.node_of(found, self._alias(found, server_id, volume_id))
            monitor.work_on(found, work.drop_disk_snapshot, node, name)

    def copy_disk(self, server_id: str, volume_id: str, target: Path, target_format: str) -> None:
        with self._domain(server_id) as found:
            wanted = {self._alias(found, server_id, volume_id): (target, target_format)}
            copies.copy(self._connection, found, server_id, wanted)

    def copy_disks(
        self, server_id: str, targets: Mapping[str, Path], target_format: str, moment: Moment | None = None
    ) -> None:
        with self._domain(server_id) as found:
            wanted = {self._alias(found, server_id, each): (path, target_format) for each, path in targets.items()}
            copies.copy(self._connection, found, server_id, wanted, moment=moment)

    def copy_root(self, server_id: str, target: Path) -> None:
        with self._lock(server_id):
            folder = self._folder_of(server_id)
            if not self.adopt(server_id):
                overlay.copy(folder / ROOT_DISK, target, "qcow2")
                return
            overlay.make_empty(target, overlay.overlay_size(folder / ROOT_DISK))
            with self._domain(server_id) as found, quiet.held(found, kept_guest.recall(folder)) as release:
                copies.copy(self._connection, found, server_id, {disks.ROOT: (target, "qcow2")}, release)

    def back_up(self, spec: ServerSpec, folder: Path, volumes: Mapping[str, Path]) -> None:
        with self._lock(spec.id):
            own = self._folder_of(spec.id)
            running = self.adopt(spec.id)
            if volumes and not running:
                raise _does_not_run()
            if running:
                copied = backup.live_copies(spec, own, folder, volumes)
                with self._domain(spec.id) as found:
                    aliases = {"root": disks.ROOT}
                    aliases.update({local_node(disk.name): disks.local_alias(disk.name) for disk in spec.disks})
                    aliases.update({volume_node(each): self._alias(found, spec.id, each) for each in volumes})
                    wanted = {aliases[node]: (Path(disk.path), disk.format) for node, disk in copied.items()}
                    copies.copy(self._connection, found, spec.id, wanted)
            else:
                backup.copy_closed_disks(own, folder)
            backup.copy_rest(own, folder)

    def displays(self, server_id: str) -> tuple[Display, ...]:
        self._folder_of(server_id)
        with find(self._connection, server_id) as found:
            if found is None:
                return tuple(each for each in ("vnc", "spice", "serial") if each in self._displays)
            return plugged.displays(found.description())

    def open_display(self, server_id: str, display: Display) -> socket.socket:
        folder = self._folder_of(server_id)
        with self._domain(server_id) as found:
            graphics = plugged.graphics(found.description())
            if display == "serial":
                stream = connect(folder / SERIAL_SOCKET)
            elif display in graphics:
                stream = found.open_graphics(graphics.index(display))
            else:
                raise Conflict(f"the server has no {display} console", code="ConsoleTypeUnavailable")
        return self._streams.add(server_id, display, stream)

    def diagnostics(self, server_id: str) -> Diagnostics:
        with self._domain(server_id) as found:
            there = found.description()
            given, used = found.memory()
            return Diagnostics(
                uptime=int(time.time() - kept_guest.began(self._servers / server_id)),
                memory=given // KIB_A_MIB,
                memory_used=used // KIB_A_MIB,
                cpu_times=found.cpu_times(),
                disks=[found.counters(target) for target in plugged.targets(there).values()],
                macs=plugged.macs(there),
            )

    def power(self, server_id: str) -> PowerState:
        with self._lock(server_id):
            if not (self._servers / server_id).is_dir():
                return PowerState.NOSTATE
            if self.adopt(server_id):
                with find(self._connection, server_id) as found, suppress(LibvirtError):
                    if found is not None:
                        return found.power()
            return PowerState.SHUTDOWN

    def stalled(self) -> list[str]:
        held = []
        for server_id in sorted(self._running.copy()):
            with suppress(LibvirtError, NotReady), find(self._connection, server_id) as found:
                if found is not None and found.is_stalled():
                    held.append(server_id)
        return held

    def list(self) -> dict[str, PowerState]:
        known = sorted(path.name for path in self._servers.iterdir() if path.is_dir())
        return {server_id: self.power(server_id) for server_id in known}

    def close(self) -> None:
        self._running.clear()
        self._connection.close()

    # -- inside ------------------------------------------------------------------------------------------------------

    def _boot(self, spec: ServerSpec, folder: Path) -> None:
        accelerator = self.capabilities().accelerator
        machine = Machine(accelerator=accelerator, cpu=self._cpu(accelerator), firmware=firmware.choose(spec.guest))
        volumes = {volume.volume_id: self._open(volume) for volume in spec.volumes}
        kernel = tuple(self._supplies.base(each) for each in (spec.guest.kernel_id, spec.guest.ramdisk_id) if each)
        passthrough.prepare(Parts(mdevs=spec.parts.mdevs), folder)
        with ExitStack() as stack:
            names = stack.enter_context(self._lent(spec.ports))
            nodes = self.capabilities().nodes
            surroundings = Surroundings(taps=names, kernel=kernel, displays=self._displays, nodes=nodes)
            if self._connection.kind() == xen.TYPE:
                xml = xen.domain(spec, folder, volumes, surroundings)
            else:
                xml = domain(spec, folder, machine, volumes, surroundings)
            kept_guest.remember(folder, spec.guest)
            own = {each: disks.place_of(disk) for each, disk in volumes.items()}
            places.begin(folder, (places.Place(each, disks.volume_alias(each), path) for each, path in own.items()))
            if spec.guest.tpm:
                tpm.listen_at(folder, spec.guest.tpm)
                stack.push(lambda error, *_: tpm.end(folder, 0) if error else None)
            stack.enter_context(_refused("libvirt did not start the server"))
            stack.enter_context(secrets.lent(self._connection, spec.id, volumes))
            stack.enter_context(start(self._connection, xml))
        # The taps are where they belong.
        with self._domain(spec.id) as found:
            found.go_on()

    def _take_up(self, spec: ServerSpec, folder: Path) -> None:
        """Let a suspended server go on."""
        kept_guest.remember(folder, spec.guest)
        with ExitStack() as stack:
            stack.enter_context(self._lent(rescue.plugged(spec).ports))
            if spec.guest.tpm:
                tpm.listen_at(folder, spec.guest.tpm)
                stack.push(lambda error, *_: tpm.end(folder, 0) if error else None)
            stack.enter_context(_refused("The memory that was kept cannot be taken up"))
            opened = {each.volume_id: self._open(each) for each in spec.volumes if each.remote or each.encrypted}
            stack.enter_context(secrets.lent(self._connection, spec.id, opened))
            restore(self._connection, folder / FILE)
        drop(folder)
        with self._domain(spec.id) as found:
            for volume in spec.volumes:
                self._limit(found, spec.id, volume)
            found.go_on()

    def _open(self, volume: VolumeSpec) -> Disk:
        """libvirt cannot look into a container that lies in a qcow2 file."""
        return self._supplies.open_volume(volume, served=volume.encrypted)

    @contextmanager
    def _domain(self, server_id: str) -> Iterator[RunningDomain]:
        """The domain of a server, for one piece of work. Conflict where it does not run, or libvirt refuses."""
        with self._lock(server_id):
            self._folder_of(server_id)
            if not self.adopt(server_id):
                raise _does_not_run()
            with _refused("libvirt refused"), find(self._connection, server_id) as found:
                if found is None:
                    raise _does_not_run()
                yield found

    @contextmanager
    def _with_agent(self, server_id: str) -> Iterator[RunningDomain]:
        with self._domain(server_id) as found:
            if not kept_guest.recall(self._servers / server_id).agent:
                raise quiet.no_agent()
            yield found

    @contextmanager
    def _lent(self, ports: Sequence[PortSpec]) -> Iterator[dict[str, str]]:
        """The names by which the daemon finds the ports' taps, which are back in their places in the end."""
        with ExitStack() as stack:
            names: dict[str, str] = {}
            if ports and self._connection.kind() == xen.TYPE:
                raise Conflict("servers on Xen have no ports of this cloud's networks", code="UnsupportedHardware")
            if any(port.socket for port in ports):
                raise Conflict("libvirt shares no memory of guests with a switch here", code="UnsupportedHardware")
            ports = [port for port in ports if not port.passed]
            if ports:
                daemon = taps.daemon_namespace(self._connection.uri)
                stack.callback(os.close, daemon)
                for port in ports:
                    tap = self._supplies.open_tap(port.id, multi_queue=port.queues > 1)
                    names[port.id] = stack.enter_context(taps.lent(tap, daemon))
            yield names

    def _limit(self, found: RunningDomain, server_id: str, volume: VolumeSpec) -> None:
        alias = places.find(self._servers / server_id, found.description(), volume.volume_id)
        if alias is not None:
            monitor.work_on(found, work.limit_disk, monitor.node_of(found, alias), volume.limits)

    def _alias(self, found: RunningDomain, server_id: str, volume_id: str) -> str:
        """The alias of an attached volume's disk; Conflict where the server does not have it."""
        alias = places.find(self._servers / server_id, found.description(), volume_id)
        if alias is None:
            raise Conflict("the server does not have the volume", code="HypervisorFailed")
        return alias

    def _press_power_button(self, server_id: str, found: RunningDomain, timeout: float) -> None:
        """Press until the guest is off: one that is in the middle of its boot does not hear it at first."""
        deadline = time.monotonic() + timeout
        with self._connection.listening(server_id) as heard:
            while (left := deadline - time.monotonic()) > 0:
                with suppress(LibvirtError):
                    found.press_power_button()
                pressed = time.monotonic()
                while (wait := min(left, BUTTON_PERIOD) - (time.monotonic() - pressed)) > 0:
                    with suppress(queue.Empty):
                        if heard.get(timeout=wait).kind == "ended":
                            return

    def _end(self, server_id: str) -> None:
        self._running.discard(server_id)
        with _refused("libvirt refused"), find(self._connection, server_id) as found:
            if found is not None:
                found.end()
        tpm.end(self._servers / server_id)

    def _ended(self, server_id: str, reason: str) -> None:
        """A domain ended. It is no news where the agent asked for it, or where the server runs again."""
        with self._lock(server_id):
            if server_id not in self._running:
                return
            with suppress(NotReady, LibvirtError), find(self._connection, server_id) as found:
                if found is not None:
                    return
            self._running.discard(server_id)
        self._stopped(server_id, reason)

    def _look_again(self) -> None:
        """The daemon was away: what ended meanwhile was not told."""
        for server_id in list(self._running):
            self._ended(server_id, "killed")


@contextmanager
def _refused(words: str) -> Iterator[None]:
    try:
        yield
    except (LibvirtError, QmpError) as error:
        raise Conflict(f"{words}: {error}", code="HypervisorFailed") from error


def _does_not_run() -> Conflict:
    return Conflict("the server does not run", code="InstanceNotRunning")
