# SPDX-License-Identifier: Apache-2.0
"""Extra specs against the verdicts of OpenStack's own check (Nova 34), words included."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic import extra_specs
from cumulet.services.placement.contract import PlacementContract
from cumulet.services.placement.facade import Placement
from cumulet.services.placement.logic.memory import Memory

VERDICTS = json.loads(Path(__file__).with_name("extra_specs_verdicts.json").read_text())


@pytest.fixture(scope="module")
def cloud() -> SimpleNamespace:
    contracts = Contracts()
    contracts.offer(PlacementContract, lambda: Placement(Memory()))
    return SimpleNamespace(contracts=contracts)


def verdict(cloud, name: str, value: str) -> str | None:
    try:
        extra_specs.check(cloud, {name: value})
    except Invalid as error:
        return error.message
    return None


def test_verdicts_are_openstacks(cloud):
    differing = [
        (name, value, expected, found)
        for name, value, expected in VERDICTS
        if (found := verdict(cloud, name, value)) != expected
    ]
    assert differing == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hw:pmem", "a" * 254 + "!"),
        ("hw:cpu_realtime_mask", "0" + ",1-2" * 63 + "x"),
        ("pci_passthrough:alias", "a:1" + ",  b:1" * 42 + "x"),
    ],
)
def test_hostile_values_are_decided_at_once(cloud, name, value):
    before = time.process_time()
    assert "is not of the format" in str(verdict(cloud, name, value))
    assert time.process_time() - before < 1
