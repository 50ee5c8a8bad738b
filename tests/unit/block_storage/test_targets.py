# SPDX-License-Identifier: Apache-2.0
"""What opens a volume over iSCSI is told to its own host alone, and forgotten with the attachment."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from cumulet.kernel.errors import NotFound
from cumulet.services.block_storage.contract import RemoteDisk
from cumulet.services.block_storage.logic import targets


class Vault:
    """The kernel's, without its seal."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def get(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def change(self, name: str, change: Callable[[bytes | None], bytes]) -> bytes:
        self.kept[name] = change(self.kept.get(name))
        return self.kept[name]

    def remove(self, name: str) -> None:
        del self.kept[name]


def test_a_secret_is_for_one_host_and_as_long_as_its_attachment(monkeypatch: pytest.MonkeyPatch) -> None:
    claims = [SimpleNamespace(generation=1), SimpleNamespace(generation=2)]
    monkeypatch.setattr(targets, "store", SimpleNamespace(of_volumes=lambda _db, _ids: claims[:1]))
    monkeypatch.setattr(targets, "admissions", SimpleNamespace(of_volumes=lambda _db, _ids: claims[1:]))
    moving = [SimpleNamespace(generation=3)]
    monkeypatch.setattr(targets, "moves", SimpleNamespace(find=lambda _db, _id: moving[0]))
    vault = Vault()
    cloud: Any = SimpleNamespace(vault=vault, db=None)
    remote = RemoteDisk(address="192.0.2.1", port=3260, export="iqn.x", server="host-a", protocol="iscsi")
    for generation in (7, 1, 3, 2):
        targets.keep(cloud, "v1", generation, targets.Way(client="host-b", remote=remote, secret=f"s{generation}"))
    assert sorted(targets.ways(cloud, "v1")) == [1, 2, 3]
    targets.forget(cloud, "v1", 3)
    assert targets.secret(cloud, "host-b", {"id": "v1", "generation": 2}) == {"secret": "s2"}
    for host, generation in (("host-c", 2), ("host-b", 7)):
        with pytest.raises(NotFound):
            targets.secret(cloud, host, {"id": "v1", "generation": generation})
    for generation in (1, 2, 2):
        targets.forget(cloud, "v1", generation)
    assert vault.kept == {}
