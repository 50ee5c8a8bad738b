# SPDX-License-Identifier: Apache-2.0
"""Each verb of each driver Protocol is held by the suite that runs on every driver, and each fake has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cumulet.services.block_storage.drivers.base import VolumeBackend
from cumulet.services.block_storage.drivers.fake import FakeBackend
from cumulet.services.compute.drivers.base import Hypervisor
from cumulet.services.compute.drivers.fake import FakeHypervisor
from cumulet.services.identity.drivers.directories.base import Directory
from cumulet.services.identity.drivers.directories.fake import FakeDirectory
from cumulet.services.image.drivers.base import ByteStore, ReadableStore
from cumulet.services.image.drivers.fake import FakeStore
from cumulet.services.network.drivers.base import Fabric
from cumulet.services.network.drivers.fake import FakeFabric
from cumulet.services.object_store.drivers.base import ObjectDevice
from cumulet.services.object_store.drivers.fake import FakeDevice
from cumulet.services.object_store.drivers.fake_index import FakeIndex
from cumulet.services.object_store.drivers.index_base import IndexDevice

HERE = Path(__file__).parent
SUITES = [
    (Hypervisor, FakeHypervisor, "compute"),
    (Fabric, FakeFabric, "network"),
    (VolumeBackend, FakeBackend, "block_storage"),
    (ReadableStore, FakeStore, "image"),
    (ByteStore, FakeStore, "image"),
    (Directory, FakeDirectory, "identity"),
    (ObjectDevice, FakeDevice, "object_store"),
    (IndexDevice, FakeIndex, "object_store"),
]


@pytest.mark.parametrize(("protocol", "fake", "folder"), SUITES, ids=[suite[0].__name__ for suite in SUITES])
def test_every_verb_is_held(protocol, fake, folder):
    verbs = {name for name in vars(protocol) if not name.startswith("_")}
    assert verbs
    attributes = set(dir(fake)) | {"capabilities", "id"}
    assert verbs <= attributes
    suite = "".join(path.read_text() for path in (HERE / folder).glob("*.py"))
    assert [verb for verb in sorted(verbs) if f".{verb}" not in suite] == []
