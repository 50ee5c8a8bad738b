# SPDX-License-Identifier: Apache-2.0
"""A host with volumes and servers on real drivers, whose agent is this process; and all that is to be seen there."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import NotReady
from cumulet.kernel.link.host import Host, HostService
from cumulet.kernel.loop import Loop
from cumulet.kernel.qmp import Monitor, QmpGoneError
from cumulet.services.block_storage import agent as block_storage
from cumulet.services.block_storage.drivers.luks import MAGIC
from cumulet.services.block_storage.drivers.tgt import Tgt
from cumulet.services.compute import agent as compute
from cumulet.services.image.contract import HostImages
from cumulet.settings.block_storage import BlockStorage, FileVolumeBackend, IscsiVolumeBackend
from cumulet.settings.compute import Compute
from cumulet.settings.devices import Devices, Pci
from cumulet.settings.volume_backups import VolumeBackups
from drivers.compute.compute_lab import SECTOR
from support.certificates import Authority
from support.syncs import openers
from support.waiting import until

MIB = 1 << 20
START = "agent.start"  # no verb, but work that may be cut short too
PASSPHRASE = "0123456789abcdef" * 2
DISKS = (".qcow2", ".raw", ".img")
# What is of a run and not of the volumes: sockets, logs, what daemons were started with.
PASSING = (".log", ".sock", ".pid", "export.json", ".lock")
IMAGE = SECTOR.ljust(MIB // 2, b"\0") + b"image" * 4096


class RealHost:
    """The host called `name` below `folder`; exports at `address`; `authority` signs in the control plane's stead."""

    def __init__(self, name: str, folder: Path, authority: Authority, address: str, *, servers: bool) -> None:
        self.name, self.state, self.servers = name, folder / name, servers
        self._folder, self._authority, self._address = folder, authority, address
        self.state.mkdir(exist_ok=True)
        (folder / "image").write_bytes(IMAGE)
        self._secrets: dict[str, str] = {}
        self.asked: Any = None  # stands in the way of the control plane
        self.services: list[HostService] = []

    def begin(self) -> None:
        """An agent starts, the first or one that comes after it."""
        images = SimpleNamespace(base=lambda _image: self._folder / "image", push=self._take_image)
        contracts = Contracts()
        contracts.offer(HostImages, lambda: images)
        self._loop = Loop()
        backends = (FileVolumeBackend(name="file"), IscsiVolumeBackend(name="san"))
        settings = SimpleNamespace(
            compute=Compute(driver="qemu", accelerator="tcg", stop_timeout=0.1),
            block_storage=BlockStorage(backends=backends), pci=Pci(), devices=Devices(), address=self._address,
            volume_backups=VolumeBackups(object_size=MIB, compression="none"),
        )  # fmt: skip
        host = Host(
            name=self.name, state=self.state, run_dir=self.state / "run", settings=settings, loop=self._loop,
            contracts=contracts, emit=lambda *_: None, call=self._answer,
        )  # fmt: skip
        self.services = [block_storage.create(host)]
        if self.servers:
            self.services.append(compute.create(host))
        self.verbs = {name: verb for service in self.services for name, verb in service.verbs.items()}
        for service in self.services:
            service.start()

    def leave(self) -> None:
        for service in reversed(self.services):
            service.stop()
        self._loop.close()

    def ask(self, verb: str, **body: Any) -> Any:
        return self.restart() if verb == START else self.verbs[verb](body)

    def restart(self) -> None:
        """The agent leaves, its exporters die, and the next one begins."""
        self.leave()
        until(lambda: not self._kill_exporters())
        self.begin()

    def _kill_exporters(self) -> int:
        """How many there were: what the agent has begun while it left may come late."""
        found = self.openers("exporter")
        for pid in found:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return len(found)

    def export(self, volume: str, **words: Any) -> Any:
        """Where it is exported to; its secret, if any, is known to the control plane."""
        remote = self.ask("volume.export", id=volume, **words)
        if secret := remote.pop("secret", None):
            self._secrets[volume] = secret
        return remote

    def know(self, secrets: Mapping[str, str]) -> None:
        self._secrets.update(secrets)

    def _answer(self, verb: str, body: dict[str, Any]) -> dict[str, str]:
        if self.asked is not None:
            with self.asked(verb):
                return self._said(verb, body)
        return self._said(verb, body)

    def _said(self, verb: str, body: dict[str, Any]) -> dict[str, str]:
        if verb == "volume.key":
            return {"passphrase": PASSPHRASE}
        if verb == "volume.secret":
            export = self.ask("volume.report")["exports"].get(body["id"])
            if export is None:
                raise NotReady("the volume is not exported")
            record = next(self.state.glob(f"block_storage/targets/*/{body['id']}/export.json"))
            clients = json.loads(record.read_text())["clients"]
            return {"secret": clients[self.name]["secret"]}
        assert verb == "volume.certificate"
        return {"certificate": self._authority.sign(self.name, body["request"]), "authority": self._authority.pem}

    def _take_image(self, image_id: str, path: Path) -> None:
        (self._folder / "pushed").mkdir(exist_ok=True)
        (self._folder / "pushed" / f"{image_id}{path.suffix}").write_bytes(path.read_bytes())

    # -- what is to be seen ------------------------------------------------------------------------------------------

    def sights(self) -> dict[str, Any]:
        """All that is there, by name, without what differs from run to run."""
        seen: dict[str, Any] = {}
        for path in sorted(self.state.rglob("*")):
            name = str(path.relative_to(self.state))
            if path.is_file() and not name.endswith(PASSING) and not name.startswith(("tls/", "compute/", "run/")):
                seen[f"file {_steady(name)}"] = _content(path)
            if path.suffix in DISKS and path.parent.name == "volumes":
                seen[f"openers {name}"] = len(openers(path))
        for path in sorted((self._folder / "pushed").glob("*")):
            seen[f"image {path.name}"] = _content(path)
        report = self.ask("volume.report")
        seen["report"] = {key: report[key] for key in ("exports", "volumes", "snapshots", "restores")}
        if self.servers:
            seen["servers"] = self.ask("server.report")["servers"]
        seen["processes"] = dict(Counter(word for word, _ in self.processes()))
        seen |= {f"monitor {path.parent.name}": self._heard(path) for path in self.monitors()}
        for path in self.state.glob("block_storage/targets/*/tgtd.pid"):
            with suppress(NotReady):
                targets = Tgt(path.parent).targets().values()
                seen["targets"] = {each.name: _target(each) for each in targets}
        return seen

    def processes(self) -> list[tuple[str, int]]:
        """Programs that name a file of this host, and their numbers."""
        return processes_of(self.state)

    def monitors(self) -> list[Path]:
        return sorted([*self.state.glob("compute/servers/*/control.sock"), *self.state.rglob("exports/*/control.sock")])

    def openers(self, kind: str) -> list[int]:
        """The processes of a kind that have volumes open: `exporter`, `qemu`."""
        wanted = ("qemu-system-x86_64",) if kind == "qemu" else ("qemu-storage-daemon", "tgtd")
        return [pid for word, pid in self.processes() if word in wanted]

    def off(self) -> list[str]:
        """Servers that do not run."""
        if not self.servers:
            return []
        return [key for key, power in self.ask("server.report")["servers"].items() if power not in (1, 3)]

    def _heard(self, path: Path) -> Any:
        async def look() -> Any:
            async with await Monitor.connect(path) as monitor:
                found: dict[str, Any] = {"jobs": len(await monitor.execute("query-block-jobs"))}
                nodes = await monitor.execute("query-named-block-nodes")
                found["nodes"] = sorted(
                    f"{each['node-name']} {each['image']['virtual-size']}"
                    for each in nodes
                    if not each["node-name"].startswith("#")
                )
                objects = await monitor.execute("qom-list", path="/objects")
                found["objects"] = sorted(each["name"] for each in objects if each["name"] != "type")
                if path.parent.parent.name == "exports":
                    found["exports"] = [each["id"] for each in await monitor.execute("query-block-exports")]
                    return found
                found["status"] = await monitor.execute("query-status")
                found["disks"] = [
                    (each.get("qdev"), inserted["node-name"], inserted["iops"], inserted["bps"])
                    for each in await monitor.execute("query-block")
                    if (inserted := each.get("inserted"))
                ]
                return found

        try:
            return asyncio.run_coroutine_threadsafe(look(), self._loop.asyncio).result(20)
        except (QmpGoneError, OSError):
            return "gone"


def processes_of(folder: Path) -> list[tuple[str, int]]:
    """Living programs whose arguments name something below the folder, this one excepted."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            words = (entry / "cmdline").read_bytes()
            if os.fsencode(folder) + b"/" in words and int(entry.name) != os.getpid():
                found.append((Path(os.fsdecode(words.split(b"\0")[0])).name, int(entry.name)))
    return sorted(found)


def end_all(folder: Path) -> None:
    """Kill what was started there."""
    for _, pid in processes_of(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, signal.SIGKILL)


def put(path: Path, text: bytes, at: int) -> None:
    """Write into a disk that nobody has open."""
    piece = path.parent.parent / "piece"
    piece.write_bytes(text)
    disk_format = "qcow2" if path.suffix == ".qcow2" else "raw"
    argv = ["qemu-io", "-f", disk_format, "-c", f"write -s {piece} {at} {len(text)}", path]
    subprocess.run(argv, check=True, capture_output=True)
    piece.unlink()


def _content(path: Path) -> str:
    if path.suffix == ".mp":
        import msgspec

        record = msgspec.msgpack.decode(path.read_bytes())
        if isinstance(record, dict):
            record = {key: value for key, value in record.items() if key not in ("port", "boot_id")}
            record = json.loads(json.dumps(record, default=str), object_hook=_portless)
        return json.dumps(record, sort_keys=True, default=str)
    if path.parent.parent.name == "secrets":
        return "a secret"
    if path.suffix != ".qcow2":
        return f"{path.stat().st_size} {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}"
    raw = path.with_name(f"{path.name}.seen")
    try:
        argv = ["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", path, raw]
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            return done.stderr[-200:]
        content = raw.read_bytes()
        kind, content = ("encrypted", _decrypted(raw)) if content.startswith(MAGIC) else ("", content)
        return f"{kind}{len(content)} {hashlib.sha256(content).hexdigest()[:12]}"
    finally:
        raw.unlink(missing_ok=True)


def _decrypted(raw: Path) -> bytes:
    plain = raw.with_name(f"{raw.name}.plain")
    try:
        opened = f"driver=luks,key-secret=key,file.driver=file,file.filename={raw}"
        argv = ["qemu-img", "convert", "-O", "raw", "--object", f"secret,id=key,data={PASSPHRASE}", "--image-opts"]
        subprocess.run([*argv, opened, plain], check=True, capture_output=True)
        return plain.read_bytes()
    finally:
        plain.unlink(missing_ok=True)


def _portless(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if key not in ("port", "user", "address")}


def _steady(name: str) -> str:
    """A draft's name is its own at each try."""
    head, _, last = name.rpartition("/")
    return f"{head}/draft of a backup" if "/backups/" in f"/{head}" and last.startswith(".") else name


def _target(target: Any) -> Any:
    return [Path(target.path).name, len(target.accounts), sorted(target.initiators)]
