# SPDX-License-Identifier: Apache-2.0
"""Hosts with both services in this process, on real files and a real QEMU, and a guest that writes."""

from __future__ import annotations

import struct
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from cumulet.kernel import detached
from cumulet.kernel.contracts import Contracts
from cumulet.kernel.link.host import Host, HostService
from cumulet.kernel.loop import Loop
from cumulet.services.block_storage import agent as block_storage
from cumulet.services.compute import agent as compute
from cumulet.services.image.contract import HostImages
from cumulet.settings.block_storage import BlockStorage
from cumulet.settings.compute import Compute
from cumulet.settings.devices import Devices, Pci
from support.certificates import Authority
from support.writing_guest import SECTOR, WRITER, WRITES

MIB = 1 << 20
CONTAINER: dict[str, Any] = {"cipher": "aes-xts-plain64", "key_size": 256, "passphrase": "0123456789abcdef" * 2}


class Machine:
    """A host with volumes and, where asked for, servers."""

    def __init__(
        self, name: str, folder: Path, authority: Authority, *, servers: bool, kept: BlockStorage | None = None
    ) -> None:
        self._kept, self._secrets = kept or BlockStorage(driver="file"), dict[str, str]()
        self.name, self.state, self._servers = name, folder / name, servers
        self.state.mkdir(exist_ok=True)
        self._authority = authority
        self._image = folder / "image"
        self._image.write_bytes(WRITER)
        self.told: list[tuple[str, dict[str, Any]]] = []  # events
        self.begin()

    def begin(self) -> None:
        """An agent starts, the first or one that comes after it."""
        contracts = Contracts()
        contracts.offer(HostImages, lambda: SimpleNamespace(base=lambda _image_id: self._image))
        self._loop = Loop()
        settings = SimpleNamespace(
            compute=Compute(driver="qemu", accelerator="tcg", stop_timeout=5.0),
            block_storage=self._kept,
            pci=Pci(),
            devices=Devices(),
            address="127.0.0.1",
        )
        host = Host(
            name=self.name, state=self.state, run_dir=self.state / "run", settings=settings, loop=self._loop,
            contracts=contracts, emit=lambda name, body: self.told.append((name, body)), call=self._answer,
        )  # fmt: skip
        self._services: list[HostService] = [block_storage.create(host)]
        if self._servers:
            self.compute = compute.create(host)
            self._services.append(self.compute)
        self._verbs = {name: verb for service in self._services for name, verb in service.verbs.items()}
        for service in self._services:
            service.start()

    def _answer(self, verb: str, body: dict[str, Any]) -> dict[str, str]:
        """The control plane, which knows three calls."""
        if verb == "volume.key":
            return {"passphrase": CONTAINER["passphrase"]}
        if verb == "volume.secret":
            return {"secret": self._secrets[body["id"]]}
        assert verb == "volume.certificate"
        return {"certificate": self._authority.sign(self.name, body["request"]), "authority": self._authority.pem}

    def leave(self) -> None:
        for service in reversed(self._services):
            service.stop()
        self._loop.close()

    def backend(self, name: str) -> Any:
        """One of its keepers of volumes."""
        return self._services[0]._backends.get(name)  # type: ignore[attr-defined]

    def learn(self, volume: str, secret: str) -> None:
        """What the control plane knows."""
        self._secrets[volume] = secret

    def ask(self, verb: str, **body: Any) -> Any:
        return self._verbs[verb](body)

    def kill_export(self, volume: str) -> None:
        place = self.state / "block_storage" / "exports" / volume / "export.pid"
        with detached.Process.of(place) as process:  # type: ignore[union-attr]
            process.kill()

    def content(self, volume: str, folder: Path, place: str = "") -> bytes:
        raw = folder / "raw"
        path = self.state / "block_storage" / place / "volumes" / f"{volume}.qcow2"
        subprocess.run(["qemu-img", "convert", "-U", "-f", "qcow2", "-O", "raw", path, raw], check=True)
        return raw.read_bytes()

    def numbers(self, volume: str, place: str = "") -> list[int]:
        """What the writing guest has written to each sector."""
        with tempfile.TemporaryDirectory() as folder:
            content = self.content(volume, Path(folder), place)
        return [struct.unpack_from("<I", content, number * SECTOR)[0] for number in range(1, WRITES + 1)]
