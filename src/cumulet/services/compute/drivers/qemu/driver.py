# SPDX-License-Identifier: Apache-2.0
"""The hypervisor on QEMU: one process a server, driven over its monitor, outliving the agent."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from cumulet.kernel import detached, memory_file
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.loop import Loop
from cumulet.kernel.moment import Moment
from cumulet.kernel.qmp import Monitor, QmpError, QmpGoneError, listen
from cumulet.services.compute.drivers.base import (
    Diagnostics,
    Disk,
    Stopped,
    Supplies,
)
from cumulet.services.compute.drivers.parts import NO_RULES, Rules
from cumulet.services.compute.drivers.qemu import (
    backup,
    displays,
    exchange,
    firmware,
    guest_agent,
    hotplug,
    memory,
    moves,
    numa,
    overlay,
    passthrough,
    pinning,
    rescue,
    resize,
    tpm,
    work,
)
from cumulet.services.compute.drivers.qemu.command_line import (
    CONTROL_SOCKET,
    EVENTS_SOCKET,
    LOG_FILE,
    PID_FILE,
    Inheritance,
    Machine,
    command_line,
    serial_sockets,
    volume_node,
)
from cumulet.services.compute.drivers.qemu.drives import ROOT_DISK
from cumulet.services.compute.drivers.qemu.folders import ServersInFolders
from cumulet.services.compute.drivers.qemu.watch import Watch
from cumulet.services.compute.types import Display, Guest, PortSpec, PowerState, ServerSpec, VolumeSpec

T = TypeVar("T")

MIB = 1 << 20
BUTTON_PERIOD = 3.0  # seconds between two presses of a power button
_RUN_STATES = {
    "paused": PowerState.PAUSED,
    "prelaunch": PowerState.PAUSED,
    "io-error": PowerState.PAUSED,
    "shutdown": PowerState.SHUTDOWN,
    "guest-panicked": PowerState.CRASHED,
    "internal-error": PowerState.CRASHED,
}


class QemuHypervisor(ServersInFolders):
    """Servers as QEMU processes, each with a folder of its own below `folder`.

    A server's folder holds its disks, sockets, logs and pid file; a folder is all that `destroy` has to remove.

    LIMITATIONS: x86_64 guests; QEMU runs as the agent's user, inside QEMU's own system call filter.
    """

    def __init__(
        self,
        folder: Path,
        loop: Loop,
        supplies: Supplies,
        stopped: Stopped,
        accelerator: str = "auto",
        displays: Sequence[Display] = ("vnc", "serial"),
        cpu: tuple[str, Sequence[str]] = ("", ()),
        rules: Rules = NO_RULES,
    ) -> None:
        super().__init__(folder, supplies, accelerator, displays, cpu, rules)
        self._loop = loop
        self._stopped = stopped
        self._watches: dict[str, Watch] = {}

    def start(self, spec: ServerSpec) -> None:
        with self._lock(spec.id):
            if self.adopt(spec.id):
                # Whoever started it may have been killed before he came to this.
                self._limit(spec.id, spec.volumes)
                return
            folder = self._folder_of(spec.id)
            spec = rescue.plugged(spec)
            accelerator = self.capabilities().accelerator
            machine = Machine(
                accelerator=accelerator,
                cpu=self._cpu(accelerator),
                firmware=firmware.choose(spec.guest),
                numa=self._numa(spec),
            )
            passthrough.prepare(spec.parts, folder)
            volumes = {volume.volume_id: self._supplies.open_volume(volume) for volume in spec.volumes}
            with contextlib.ExitStack() as stack:
                inherited = self._inheritance(spec, folder, volumes, stack)
                argv = command_line(spec, folder, machine, volumes, inherited)
                argv += displays.arguments(self._displays, inherited.folder, card=not spec.guest.video)
                if memory.is_kept(folder):
                    argv += memory.ARGUMENTS
                hotplug.remember(folder, spec.guest)
                detached.launch(argv, folder / LOG_FILE, inherited.all())
            try:
                self._watch(spec.id)
            except QmpGoneError as error:
                words = detached.last_words(folder / LOG_FILE) or str(error)
                self._end(spec.id)
                raise work.refusal(f"QEMU did not start: {words}") from error
            self._pin(spec)
            self._limit(spec.id, spec.volumes)
            if memory.is_kept(folder):
                self._load_memory(spec.id, folder)

    def adopt(self, server_id: str) -> bool:
        with self._lock(server_id):
            if memory.is_kept(self._servers / server_id):
                # What is kept is the truth: a process beside it was about to end, or has not run since.
                self._end(server_id)
                return False
            watch = self._watches.get(server_id)
            if watch is not None and not watch.ended:
                return True
            with self._process(server_id) as running:
                if running is None:
                    return False
            try:
                self._watch(server_id)
            except QmpGoneError:
                # It hangs, or it was killed in the middle of its start: neither can be served.
                self._end(server_id)
                return False
            # Nobody waits any more for what an agent that died had copied.
            with contextlib.suppress(NotReady, Conflict):
                self._control(server_id, work.end_copies)
            return True

    def suspend(self, server_id: str) -> None:
        with self._lock(server_id):
            folder = self._folder_of(server_id)
            if not memory.is_kept(folder):
                if not self.adopt(server_id):
                    raise Conflict("the server does not run", code="InstanceNotRunning")
                memory.keep(folder, lambda target: self._control(server_id, memory.save, target))
            self._end(server_id)

    def interrupt(self, server_id: str) -> None:
        self._on_running(server_id, work.interrupt)

    def set_password(self, server_id: str, user: str, password: str) -> None:
        self._ask_agent(server_id, guest_agent.set_password, user, password)

    def quiesce(self, server_id: str) -> None:
        self._ask_agent(server_id, guest_agent.freeze)

    def unquiesce(self, server_id: str) -> None:
        self._ask_agent(server_id, guest_agent.thaw)

    def stop(self, server_id: str, timeout: float) -> None:
        with self._lock(server_id), self._process(server_id) as running:
            memory.drop(self._servers / server_id)
            if running is None:
                return
            self._expect_end(server_id)
            self._press_power_button(server_id, running, timeout)
            running.kill()
            self._forget(server_id)

    def pause(self, server_id: str) -> None:
        self._on_running(server_id, work.pause)

    def unpause(self, server_id: str) -> None:
        self._on_running(server_id, work.unpause)

    def destroy(self, server_id: str) -> None:
        with self._lock(server_id):
            self._end(server_id)
            passthrough.give_back(self._servers / server_id)
            shutil.rmtree(self._servers / server_id, ignore_errors=True)
        self._streams.end(server_id)

    def attach_disk(self, server_id: str, volume: VolumeSpec) -> None:
        with self._lock(server_id):
            self._folder_of(server_id)
            if self.adopt(server_id):
                disk = self._supplies.open_volume(volume)
                self._control(server_id, work.attach_disk, volume, disk, self._guest(server_id))

    def detach_disk(self, server_id: str, volume_id: str) -> None:
        with self._lock(server_id):
            if self.adopt(server_id):
                self._control(server_id, work.detach_disk, volume_id)

    def swap_disk(self, server_id: str, volume_id: str, volume: VolumeSpec, *, settle: bool = False) -> bool:
        with self._lock(server_id):
            self._folder_of(server_id)
            runs = self.adopt(server_id)
            if settle:
                return runs and self._control(server_id, exchange.settle, volume_id, volume)
            if not runs:
                raise Conflict("the server does not run", code="InstanceNotRunning")
            self._control(server_id, exchange.exchange_disk, volume_id, volume, self._supplies.open_volume(volume))
            self._control(server_id, work.limit_disk, volume_node(volume.volume_id), volume.limits)
            return True

    def move_disk(self, server_id: str, volume: VolumeSpec, moved: Callable[[], object]) -> None:
        async def told() -> None:
            await self._loop.asyncio.run_in_executor(None, moved)

        with self._lock(server_id):
            self._folder_of(server_id)
            if not self.adopt(server_id):
                raise Conflict("the server does not run", code="InstanceNotRunning")
            self._control(server_id, moves.move_disk, volume, self._supplies.open_volume(volume), told)

    def has_moved(self, server_id: str, volume: VolumeSpec) -> bool:
        return self._on_running(server_id, moves.has_moved, volume)

    def limit_disk(self, server_id: str, volume: VolumeSpec) -> None:
        with self._lock(server_id):
            if self.adopt(server_id):
                self._control(server_id, work.limit_disk, volume_node(volume.volume_id), volume.limits)

    def attach_port(self, server_id: str, port: PortSpec) -> None:
        with self._lock(server_id):
            self._folder_of(server_id)
            if self.adopt(server_id) and not self._control(server_id, work.has_port, port.id):
                with contextlib.ExitStack() as stack:
                    queues = self._open_taps(port, stack)
                    self._control(server_id, work.attach_port, port, queues, self._guest(server_id))

    def detach_port(self, server_id: str, port_id: str) -> None:
        with self._lock(server_id):
            if self.adopt(server_id):
                self._control(server_id, work.detach_port, port_id)

    def confirm_resize(self, server_id: str) -> None:
        with self._lock(server_id):
            folder = self._folder_of(server_id)
            if self.adopt(server_id):
                self._control(server_id, resize.forget_live)
            else:
                resize.forget(folder)

    def resize_disk(self, server_id: str, volume_id: str, size: int) -> None:
        self._on_running(server_id, work.resize_disk, volume_node(volume_id), size)

    def snapshot_disk(self, server_id: str, volume_id: str, name: str) -> None:
        self._on_running(server_id, work.snapshot_disk, volume_node(volume_id), name, *self._agent(server_id))

    def drop_disk_snapshot(self, server_id: str, volume_id: str, name: str) -> None:
        self._on_running(server_id, work.drop_disk_snapshot, volume_node(volume_id), name)

    def copy_disk(self, server_id: str, volume_id: str, target: Path, target_format: str) -> None:
        disk = Disk(path=str(target), format=target_format)
        self._on_running(server_id, work.copy_disk, volume_node(volume_id), disk, None, False)

    def copy_disks(
        self, server_id: str, targets: Mapping[str, Path], target_format: str, moment: Moment | None = None
    ) -> None:
        copies = {volume_node(each): Disk(path=str(path), format=target_format) for each, path in targets.items()}
        self._on_running(server_id, work.copy_disks, copies, None, moment)

    def copy_root(self, server_id: str, target: Path) -> None:
        with self._lock(server_id):
            folder = self._folder_of(server_id)
            if self.adopt(server_id):
                overlay.make_empty(target, overlay.overlay_size(folder / ROOT_DISK))
                copy = Disk(path=str(target), format="qcow2")
                self._control(server_id, work.copy_disk, "root", copy, *self._agent(server_id))
            else:
                overlay.copy(folder / ROOT_DISK, target, "qcow2")

    def back_up(self, spec: ServerSpec, folder: Path, volumes: Mapping[str, Path]) -> None:
        with self._lock(spec.id):
            own = self._folder_of(spec.id)
            running = self.adopt(spec.id)
            if volumes and not running:
                raise Conflict("the server does not run", code="InstanceNotRunning")
            if running:
                self._control(spec.id, work.copy_disks, backup.live_copies(spec, own, folder, volumes))
            else:
                backup.copy_closed_disks(own, folder)
            backup.copy_rest(own, folder)

    def displays(self, server_id: str) -> tuple[Display, ...]:
        folder = self._folder_of(server_id)
        return displays.found(folder, self._displays, runs=self.adopt(server_id))

    def open_display(self, server_id: str, display: Display) -> socket.socket:
        folder = self._folder_of(server_id)
        if not self.adopt(server_id):
            raise Conflict("the server does not run", code="InstanceNotRunning")
        return self._streams.add(server_id, display, displays.connect_to(folder, display))

    def diagnostics(self, server_id: str) -> Diagnostics:
        with self._process(server_id) as running:
            if running is None:
                raise Conflict("the server does not run", code="InstanceNotRunning")
            uptime, memory_used, cpu_times = work.process_counters(running.pid)
        memory, disks, macs = self._on_running(server_id, work.counters)
        return Diagnostics(
            uptime=uptime,
            memory=memory // MIB,
            memory_used=memory_used // MIB,
            cpu_times=cpu_times,
            disks=disks,
            macs=macs,
        )

    def power(self, server_id: str) -> PowerState:
        with self._lock(server_id):
            if not self.adopt(server_id):
                return PowerState.SHUTDOWN if (self._servers / server_id).is_dir() else PowerState.NOSTATE
            try:
                status = self._control(server_id, work.status)
            except NotReady:
                return PowerState.SHUTDOWN
            return _RUN_STATES.get(status, PowerState.RUNNING)

    def stalled(self) -> list[str]:
        with self._guard:
            return sorted(server_id for server_id, watch in self._watches.items() if watch.stalled)

    def list(self) -> dict[str, PowerState]:
        known = {path.name for path in self._servers.iterdir() if path.is_dir()} | set(detached.find(self._servers))
        return {server_id: self.power(server_id) for server_id in sorted(known)}

    def close(self) -> None:
        with self._guard:
            watches = list(self._watches.values())
            self._watches.clear()
        for watch in watches:
            watch.close()

    # -- inside ------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _process(self, server_id: str) -> Iterator[detached.Process | None]:
        running = detached.Process.of(self._servers / server_id / PID_FILE)
        try:
            yield running
        finally:
            if running is not None:
                running.close()

    def _numa(self, spec: ServerSpec) -> Sequence[str]:
        shared = any(port.socket for port in spec.ports)
        if spec.parts.numa is None:
            return numa.shared_memory(spec.ram) if shared else []
        there = self.capabilities().nodes
        ordinary = min((each.size for node in there for each in node.pages), default=0)
        return numa.arguments(spec.parts.numa, ordinary, numa.mounts(), binds=len(there) > 1, shared=shared)

    def _pin(self, spec: ServerSpec) -> None:
        """Put the threads of the process that was just started where they belong; it ends where that cannot be."""
        there, parts = self.capabilities().nodes, spec.parts.numa
        if parts is None and not any(node.dedicated for node in there):
            return
        try:
            threads = self._control(spec.id, pinning.threads)
            with self._process(spec.id) as running:
                if running is not None:
                    pinning.pin(running.pid, threads, parts, there)
        except (Conflict, NotReady):
            self._end(spec.id)
            raise

    def _limit(self, server_id: str, volumes: Sequence[VolumeSpec]) -> None:
        if any(volume.limits for volume in volumes):
            self._control(server_id, work.limit_disks, volumes)

    def _open_taps(self, port: PortSpec, stack: contextlib.ExitStack) -> Sequence[int]:
        """The port's queues, one descriptor each; they are closed when `stack` is."""
        found: tuple[int, ...] = ()
        for _queue in range(port.queues):
            found = (*found, self._supplies.open_tap(port.id, multi_queue=port.queues > 1))
            stack.callback(os.close, found[-1])
        return found

    def _inheritance(
        self, spec: ServerSpec, folder: Path, volumes: Mapping[str, Disk], stack: contextlib.ExitStack
    ) -> Inheritance:
        """Open what QEMU inherits; this process's copies are closed when `stack` is."""
        sockets: dict[str, int] = {}
        names = [CONTROL_SOCKET, EVENTS_SOCKET, *serial_sockets(spec.guest)]
        for name in [*names, guest_agent.SOCKET] if spec.guest.agent else names:
            sockets[name] = stack.enter_context(listen(folder / name)).fileno()
        opened = displays.open_folder(folder)
        stack.callback(os.close, opened)
        taps: dict[str, Sequence[int]] = {}
        for port in spec.ports:
            if not port.passed and not port.socket:
                taps[port.id] = self._open_taps(port, stack)
        end = -1
        if spec.guest.tpm:
            end = stack.enter_context(tpm.start(folder, spec.guest.tpm)).fileno()
            stack.push(lambda error, *_: tpm.end(folder, 0) if error else None)
        kernel = tuple(self._supplies.base(each) for each in (spec.guest.kernel_id, spec.guest.ramdisk_id) if each)
        keys = {
            volume_id: stack.enter_context(memory_file.holding(disk.key.encode()))
            for volume_id, disk in volumes.items()
            if disk.key
        }
        return Inheritance(sockets=sockets, keys=keys, taps=taps, tpm=end, kernel=kernel, folder=opened)

    def _watch(self, server_id: str) -> None:
        path = self._servers / server_id / EVENTS_SOCKET
        self._watches[server_id] = Watch.open(self._loop, path, lambda reason: self._ended(server_id, reason))

    def _ended(self, server_id: str, reason: str) -> None:
        """Called by a watch whose QEMU ended though nobody here asked for it."""
        watch = self._watches.get(server_id)
        if watch is not None and watch.ended:
            self._watches.pop(server_id, None)
        self._stopped(server_id, reason)

    def _expect_end(self, server_id: str) -> None:
        watch = self._watches.get(server_id)
        if watch is not None:
            watch.expect_end()

    def _forget(self, server_id: str) -> None:
        watch = self._watches.pop(server_id, None)
        if watch is not None:
            watch.close()

    def _press_power_button(self, server_id: str, running: detached.Process, timeout: float) -> None:
        """Press until the guest is off: one that is in the middle of its boot does not hear it at first."""
        deadline = time.monotonic() + timeout
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(NotReady, Conflict):
                self._control(server_id, work.press_power_button)
            if running.wait(min(left, BUTTON_PERIOD)):
                return

    def _end(self, server_id: str) -> None:
        self._expect_end(server_id)
        with self._process(server_id) as running:
            if running is not None:
                running.kill()
        tpm.end(self._servers / server_id)
        self._forget(server_id)

    def _load_memory(self, server_id: str, folder: Path) -> None:
        try:
            with memory.kept(folder) as source:
                self._control(server_id, memory.load, source)
        except (Conflict, NotReady) as error:
            words = detached.last_words(folder / LOG_FILE) or str(error)
            self._end(server_id)
            raise Conflict(f"The memory that was kept cannot be taken up: {words}", code="HypervisorFailed") from error
        memory.drop(folder)
        self._control(server_id, work.unpause)

    def _guest(self, server_id: str) -> Guest:
        return hotplug.recall(self._servers / server_id)

    def _agent(self, server_id: str) -> tuple[Path | None, bool]:
        """Where the guest's agent may be asked, and whether snapshots need it."""
        guest = self._guest(server_id)
        return self._servers / server_id / guest_agent.SOCKET if guest.agent else None, guest.needs_quiesce

    def _ask_agent(self, server_id: str, question: Callable[..., Coroutine[Any, Any, T]], *arguments: str) -> T:
        with self._lock(server_id):
            folder = self._folder_of(server_id)
            if not self.adopt(server_id):
                raise Conflict("the server does not run", code="InstanceNotRunning")
            if not self._guest(server_id).agent:
                raise Conflict("QEMU guest agent is not enabled", code="QemuGuestAgentNotEnabled")
            return self._loop.wait(question(folder / guest_agent.SOCKET, *arguments))

    def _on_running(self, server_id: str, job: work.Job[T], *arguments: Any) -> T:
        with self._lock(server_id):
            self._folder_of(server_id)
            if not self.adopt(server_id):
                raise Conflict("the server does not run", code="InstanceNotRunning")
            return self._control(server_id, job, *arguments)

    def _control(self, server_id: str, job: work.Job[T], *arguments: Any) -> T:
        """Run `job` on the server's control monitor and wait for it."""
        path = self._servers / server_id / CONTROL_SOCKET

        async def converse() -> T:
            async with await Monitor.connect(path) as monitor:
                return await job(monitor, *arguments)

        conversation: Coroutine[Any, Any, T] = converse()
        try:
            return self._loop.wait(conversation)
        except QmpGoneError as error:
            raise NotReady("the server's QEMU ended", code="InstanceNotRunning") from error
        except TimeoutError as error:
            raise NotReady("the server's QEMU does not answer", code="HypervisorFailed") from error
        except QmpError as error:
            raise work.refusal(f"QEMU refused: {error}") from error
