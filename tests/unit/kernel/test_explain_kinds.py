# SPDX-License-Identifier: Apache-2.0
"""What manifests promise to explain is explained, by one service each."""

from __future__ import annotations

from collections import Counter

import pytest

from cumulet.app import SERVICES
from cumulet.kernel.manifest import Manifest, read_all

EXPLAINING = [manifest for manifest in read_all(SERVICES) if manifest.explains]


@pytest.mark.parametrize("service", EXPLAINING, ids=[manifest.package for manifest in EXPLAINING])
def test_a_manifest_names_what_the_service_explains(service: Manifest) -> None:
    room = service.room("logic.explain")
    assert room is not None
    assert sorted(room.EXPLAINS) == sorted(service.explains)


def test_nothing_is_explained_twice() -> None:
    kinds = Counter(kind for manifest in EXPLAINING for kind in manifest.explains)
    assert {"server", "port"} <= kinds.keys()
    assert set(kinds.values()) == {1}
