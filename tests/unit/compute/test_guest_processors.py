# SPDX-License-Identifier: Apache-2.0
"""Guests' processors: what settings make of them, what QEMU says that they have, and what placement hears."""

from __future__ import annotations

import pytest

from cumulet.kernel.run import CommandFailed
from cumulet.services.compute.drivers.qemu import processor
from cumulet.services.compute.logic import host_traits
from cumulet.services.placement.logic import standard


@pytest.mark.parametrize(
    ("model", "flags", "accelerator", "expected"),
    [
        ("", (), "kvm", ""),
        ("", ("+aes", "-vmx", "pcid"), "kvm", "host,aes=on,vmx=off,pcid=on"),
        ("", ("aes",), "tcg", "qemu64,aes=on"),
        ("Haswell", (), "tcg", "Haswell"),
    ],
)
def test_arguments(model: str, flags: tuple[str, ...], accelerator: str, expected: str) -> None:
    assert processor.argument(model, flags, accelerator) == expected


def test_features_are_what_qemu_gives() -> None:
    found = processor.features("Nehalem,aes=on,popcnt=off", "tcg")
    assert {"aes", "sse4.2", "ssse3"} <= set(found)
    assert not {"popcnt", "avx2"} & set(found)
    with pytest.raises(CommandFailed, match="Colossus"):
        processor.features("Colossus", "tcg")


def test_features_have_traits_however_they_are_written() -> None:
    features = ["sse4_1", "sse4.2", "avx512_vnni", "sha_ni", "svm", "pni", "pclmulqdq", "hypervisor"]
    found = set(host_traits.of({"features": features, "traits": ["COMPUTE_SECURITY_TPM_2_0"]}))
    names = ("SSE41", "SSE42", "AVX512VNNI", "SHA", "SVM", "AMD_SVM", "SSE3", "CLMUL")
    assert {f"HW_CPU_X86_{name}" for name in names} | {"COMPUTE_SECURITY_TPM_2_0"} <= found


def test_all_traits_are_standard() -> None:
    every = [*host_traits._SAME, *host_traits._NAMES]
    assert set(host_traits.of({"features": every})) <= standard.traits()


def test_hypervisors_offer_standard_traits(hypervisors: list[list[str]]) -> None:
    for traits in hypervisors:
        assert set(traits) <= standard.traits()
        assert "COMPUTE_STORAGE_BUS_VIRTIO" in traits


@pytest.fixture
def hypervisors(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    from types import SimpleNamespace
    from typing import cast

    from cumulet.kernel.link.host import Journal
    from cumulet.services.compute.drivers.base import Supplies
    from cumulet.services.compute.drivers.fake import FakeHypervisor
    from cumulet.services.compute.drivers.qemu import host

    supplies = cast(Supplies, SimpleNamespace())
    fake = FakeHypervisor(Journal(tmp_path_factory.mktemp("fake")), supplies, lambda *_: None)
    return [fake.capabilities().traits, host.capabilities(tmp_path_factory.mktemp("qemu"), "tcg").traits]
