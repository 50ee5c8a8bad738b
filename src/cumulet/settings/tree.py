# SPDX-License-Identifier: Apache-2.0
"""The whole tree of settings."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import msgspec

from cumulet.settings.base import UNSET, Count, Section
from cumulet.settings.block_storage import BlockStorage
from cumulet.settings.compute import Compute
from cumulet.settings.devices import Devices, FakeMachine, Pci
from cumulet.settings.identity import Identity, SecurityCompliance
from cumulet.settings.image import Image, ImageCopies, ImageFormat, ImageImport, ImageUse
from cumulet.settings.key_manager import KeyManager
from cumulet.settings.network import Network
from cumulet.settings.object_store import ObjectStore
from cumulet.settings.placement import Placement
from cumulet.settings.processes import Database, Link, Listen, Log
from cumulet.settings.quota import Quota
from cumulet.settings.scheduler import Scheduler
from cumulet.settings.volume_backups import VolumeBackups


class Settings(Section, frozen=True, kw_only=True):
    """The whole tree.

    `state` holds all that must survive, `run` what need not (sockets, locks; default: `run` in the state directory),
    `cache` what can be made again. `host` is this machine's name in the cloud, `replica` the name of this machine's
    control plane and data process among several (default: the host's); `public_host` the name or address that
    clients reach it by (default: the control address). `address` is where the cloud's other hosts reach this one, for
    the disks that it exports. `policy_dir` may hold `<service>.yaml` with an operator's
    own rules. `master_key` is the file with the keys that seal what the database keeps secret. `threads` is the size
    of the pool that requests run in.
    """

    state: Path
    run: Path = UNSET
    cache: Path = UNSET
    host: str = msgspec.field(default_factory=socket.gethostname)
    address: str = ""
    replica: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = ""
    public_host: str = ""
    region: str = "RegionOne"
    policy_dir: Path = UNSET
    master_key: Path = UNSET
    threads: Count = 4
    control: Listen = Listen(port=8700)
    data: Listen = Listen(port=8701)
    objects: Listen = Listen(port=8703)
    database: Database = Database()
    log: Log = Log()
    link: Link = Link()
    identity: Identity = Identity()
    security_compliance: SecurityCompliance = SecurityCompliance()
    image: Image = Image()
    image_format: ImageFormat = ImageFormat()
    image_use: ImageUse = ImageUse()
    image_copies: ImageCopies = ImageCopies()
    image_import: ImageImport = ImageImport()
    compute: Compute = Compute()
    pci: Pci = Pci()
    devices: Devices = Devices()
    fake_machine: FakeMachine = FakeMachine()
    quota: Quota = Quota()
    scheduler: Scheduler = Scheduler()
    network: Network = Network()
    block_storage: BlockStorage = BlockStorage()
    volume_backups: VolumeBackups = VolumeBackups()
    placement: Placement = Placement()
    key_manager: KeyManager = KeyManager()
    object_store: ObjectStore = ObjectStore()

    def __post_init__(self) -> None:
        fill = msgspec.structs.force_setattr
        fill(self, "state", self.state.absolute())
        own_run = f"run-{self.replica}" if self.replica not in ("", self.host) else "run"
        fill(self, "run", self.state / own_run if self.run == UNSET else self.run.absolute())
        fill(self, "replica", self.replica or self.host)
        fill(self, "cache", default_cache() if self.cache == UNSET else self.cache.absolute())
        key = self.state / "keys" / "master.key" if self.master_key == UNSET else self.master_key.absolute()
        fill(self, "master_key", key)
        fill(self, "policy_dir", self.state / "policy" if self.policy_dir == UNSET else self.policy_dir.absolute())

    @property
    def control_url(self) -> str:
        """Where clients find the control plane, without a slash at the end."""
        return self._url(self.control)

    @property
    def data_url(self) -> str:
        """Where clients find the services that carry bulk bytes, without a slash at the end."""
        return self._url(self.data)

    @property
    def objects_url(self) -> str:
        """Where clients find the object store, without a slash at the end."""
        return self._url(self.objects)

    @property
    def objects_folder(self) -> Path:
        """Where the object store keeps its own files: rings, its secret, and its one device where none is named."""
        folder = self.object_store.folder
        return self.state / "objects" if folder == UNSET else folder.absolute()

    @property
    def link_address(self) -> str:
        """The name or address at which hosts of other machines, and other replicas, reach this one."""
        wildcards = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        return self.link.address or (socket.gethostname() if self.link.host in wildcards else self.link.host)

    def _url(self, listen: Listen) -> str:
        if listen.url:
            return listen.url
        host = self.public_host or listen.host
        return f"http://[{host}]:{listen.port}" if ":" in host else f"http://{host}:{listen.port}"


def default_state(environ: Mapping[str, str] = os.environ) -> Path:
    """Where state is kept when nothing says otherwise: the system's place for root, the user's own for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/cumulet")
    return _user_folder(environ, "XDG_STATE_HOME", ".local/state") / "cumulet"


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Where things that can be made again are kept."""
    if os.geteuid() == 0:
        return Path("/var/cache/cumulet")
    return _user_folder(environ, "XDG_CACHE_HOME", ".cache") / "cumulet"


def _user_folder(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    return Path(environ[variable]) if environ.get(variable) else Path.home() / fallback
