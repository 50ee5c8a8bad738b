# SPDX-License-Identifier: Apache-2.0
"""What a back end does for backups: files that are pinned survive their volume, empty copies have its size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cumulet.kernel.errors import NotFound
from cumulet.kernel.link.host import Journal
from cumulet.services.block_storage.drivers.base import VolumeBackend
from cumulet.services.block_storage.drivers.fake import FakeBackend
from cumulet.services.block_storage.drivers.file import FileBackend

SIZE = 1 << 20


@pytest.fixture(params=[lambda root: FakeBackend(root, journal=Journal(root / "journal")), FileBackend])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> VolumeBackend:
    make: Callable[[Path], VolumeBackend] = request.param
    return make(tmp_path / "store")


def test_what_is_pinned_outlives_its_volume(backend: VolumeBackend, tmp_path: Path) -> None:
    backend.create_blank("v1", SIZE)
    backend.snapshot("s1", "v1")
    pinned = backend.pin(tmp_path / "pins")
    assert pinned in (["snapshots/s1.qcow2", "volumes/v1.qcow2"], [])
    backend.delete_snapshot("s1")
    backend.delete("v1")
    assert all((tmp_path / "pins" / name).stat().st_size for name in pinned)


def test_an_empty_copy_has_the_volume_s_size(backend: VolumeBackend, tmp_path: Path) -> None:
    backend.create_blank("v1", SIZE)
    path = backend.empty_copy("v1", tmp_path)
    if path is not None:
        assert path.read_bytes()[24:32] == SIZE.to_bytes(8, "big")
    with pytest.raises(NotFound):
        backend.empty_copy("v2", tmp_path)
