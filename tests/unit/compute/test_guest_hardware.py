# SPDX-License-Identifier: Apache-2.0
"""Image properties and extra specs as hardware: OpenStack's refusals and topologies, and what becomes of each word."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cumulet.kernel import clock
from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic.guest import hardware, needs
from cumulet.services.compute.types import Flavor, Guest

VERDICTS = json.loads(Path(__file__).with_name("guest_verdicts.json").read_text())
IMAGE_ID = "7a3e6a38-5d5f-4f2c-9f6c-6cbb4a1ba1b2"


def flavor(specs: dict[str, str] | None = None, vcpus: int = 4) -> Flavor:
    return Flavor(
        id="1", name="small", ram=64, vcpus=vcpus, disk=1, ephemeral=0, swap=0, rxtx_factor=1.0, is_public=True,
        disabled=False, description=None, extra_specs=specs or {}, created_at=clock.utcnow(),
    )  # fmt: skip


def refusal(specs: dict[str, str], words: dict[str, str], vcpus: int) -> str | None:
    try:
        hardware.check(flavor(specs, vcpus), words, "tiny", IMAGE_ID)
    except Invalid as error:
        return error.message
    return None


def topology(specs: dict[str, str], words: dict[str, str], vcpus: int) -> list[int] | str:
    try:
        guest = hardware.describe(flavor(specs, vcpus), words)
    except Invalid as error:
        return error.message
    return [guest.sockets or vcpus, guest.cores or 1, guest.threads or 1]


def test_refusals_are_openstacks() -> None:
    differing = [
        (specs, words, expected, found)
        for specs, words, vcpus, expected, _ in VERDICTS
        if (found := refusal(specs, words, vcpus)) != expected
    ]
    assert differing == []


def test_topologies_are_openstacks() -> None:
    for specs, words, vcpus, refused, expected in VERDICTS:
        if refused is not None:
            continue
        assert topology(specs, {name: words[name] for name in words if "cpu_" in name}, vcpus) == expected


def test_who_says_nothing_gets_the_usual_hardware() -> None:
    assert hardware.describe(flavor(), {"os_distro": "debian"}) == Guest()
    assert needs.traits(flavor(), {}) == set()


@pytest.mark.parametrize(
    ("specs", "words", "expected"),
    [
        ({}, {"hw_firmware_type": "uefi"}, {"firmware": "uefi"}),
        ({}, {"os_secure_boot": "optional"}, {"secure_boot": "optional"}),
        ({"os:secure_boot": "required"}, {}, {"secure_boot": "required"}),
        ({"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb"}, {}, {"tpm": "2.0", "tpm_model": "tpm-crb"}),
        ({}, {"hw_tpm_version": "1.2"}, {"tpm": "1.2", "tpm_model": "tpm-tis"}),
        ({}, {"hw_video_model": "vga"}, {"video": "vga"}),
        ({"hw_video:ram_max_mb": "64"}, {"hw_video_ram": "32"}, {"video_ram": 32}),
        ({}, {"hw_pointer_model": "usbtablet"}, {"tablet": "usb", "keyboard": ""}),
        ({}, {"hw_input_bus": "virtio"}, {"tablet": "virtio", "keyboard": "virtio"}),
        ({"hw_rng:allowed": "no"}, {}, {"rng": False}),
        ({"hw_rng:rate_bytes": "64", "hw_rng:rate_period": "500"}, {}, {"rng_bytes": 64, "rng_period": 500}),
        ({"hw:watchdog_action": "pause"}, {"hw_watchdog_action": "reset"}, {"watchdog": "reset"}),
        ({"hw:watchdog_action": "pause"}, {"hw_watchdog_action": "disabled"}, {"watchdog": ""}),
        ({"hw:boot_menu": "yes"}, {}, {"boot_menu": True}),
        ({"hw:boot_menu": "yes"}, {"hw_boot_menu": "no"}, {"boot_menu": False}),
        ({}, {"hw_qemu_guest_agent": "yes", "os_require_quiesce": "true"}, {"agent": True, "needs_quiesce": True}),
        ({}, {"vmware_adaptertype": "lsiLogic"}, {"disk_bus": "scsi", "scsi_model": "lsilogic"}),
        ({"hw:pmu": "false"}, {}, {"pmu": False}),
        ({"hw:mem_page_size": "small", "hw:locked_memory": "true"}, {}, {"locked_memory": True}),
        ({"hw:hide_hypervisor_id": "true"}, {}, {"hidden": True}),
        ({}, {"kernel_id": "k", "os_command_line": "quiet"}, {"kernel_id": "k", "command_line": "quiet"}),
        ({}, {"os_command_line": "quiet"}, {"command_line": ""}),
        ({}, {"os_type": "Windows"}, {"windows": True}),
        ({"hw:sound_model": "ac97", "hw:usb_model": "qemu-xhci"}, {}, {"sound": "ac97", "usb": "qemu-xhci"}),
        ({"hw:vif_multiqueue_enabled": "true"}, {"hw_vif_model": "virtio"}, {"multiqueue": True, "nic": "virtio"}),
    ],
)  # fmt: skip
def test_words_become_hardware(specs: dict[str, str], words: dict[str, str], expected: dict[str, object]) -> None:
    found = hardware.describe(flavor(specs), words)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("specs", "words", "says"),
    [
        ({"hw:tpm_version": "1.2"}, {"hw_tpm_version": "2.0"}, "explicitly set to 1.2, conflicting with image None"),
        ({"hw:tpm_version": "1.2", "hw:tpm_model": "tpm-crb"}, {}, "TPM model CRB is only valid with TPM version 2.0."),
        ({"hw:tpm_version": "3"}, {}, "Invalid TPM version '3'. Allowed values: 1.2, 2.0."),
        ({"os:secure_boot": "required"}, {"os_secure_boot": "disabled"}, "Flavor small has os:secure_boot extra spec"),
        ({"hw_video:ram_max_mb": "16"}, {"hw_video_ram": "32"}, "The requested amount of video memory 32 is higher"),
        ({}, {"hw_video_ram": "1"}, "higher than the maximum allowed by flavor 0."),
        ({"hw:watchdog_action": "bark"}, {}, "Provided watchdog action (bark) is not supported."),
        ({"hw:redirected_usb_ports": "16"}, {}, "Nova only supports up to 15 USB ports."),
        ({"hw:sound_model": "gravis"}, {}, "Invalid sound device model 'gravis'."),
    ],
)
def test_hosts_refuse(specs: dict[str, str], words: dict[str, str], says: str) -> None:
    hardware.check(flavor(specs), words)
    with pytest.raises(Invalid) as refused:
        hardware.describe(flavor(specs), words)
    assert says in refused.value.message


def test_hardware_needs_hosts_that_have_it() -> None:
    words = {"trait:CUSTOM_FAST": "required", "hw_firmware_type": "uefi", "os_secure_boot": "required"}
    specs = {"hw:tpm_version": "2.0", "hw:tpm_model": "tpm-crb", "hw:virtio_packed_ring": "true"}
    assert needs.traits(flavor(specs), words) == {
        "CUSTOM_FAST",
        "COMPUTE_SECURITY_UEFI_SECURE_BOOT",
        "COMPUTE_SECURITY_TPM_2_0",
        "COMPUTE_SECURITY_TPM_CRB",
        "COMPUTE_SECURITY_TPM_SECRET_SECURITY_HOST",
        "COMPUTE_NET_VIRTIO_PACKED",
    }
    assert needs.resources(flavor({"hw:mem_encryption": "true"}), {}) == {"MEM_ENCRYPTION_CONTEXT": 1}
    assert needs.resources(flavor({"hw:cpu_policy": "dedicated"}), {}) == {"VCPU": 0, "PCPU": 4}
    mixed = {"hw:cpu_policy": "mixed", "hw:cpu_dedicated_mask": "1-3", "hw:emulator_threads_policy": "isolate"}
    assert needs.resources(flavor(mixed), {}) == {"VCPU": 1, "PCPU": 4}
    for shared in ({"hw:cpu_policy": "shared"}, {"hw:numa_nodes": "2"}, {"hw:mem_page_size": "any"}):
        assert needs.resources(flavor(shared), {}) == {}
    assert needs.traits(flavor(), {"hw_architecture": "amd64"}) == set()
    arm = {"architecture": "aarch64", "hw_emulation_architecture": "aarch64"}
    assert needs.traits(flavor(), arm) == {"HW_ARCH_AARCH64", "COMPUTE_ARCH_AARCH64"}
    encrypted = {"hw:ephemeral_encryption": "true", "hw:ephemeral_encryption_format": "luks"}
    assert needs.traits(flavor(encrypted), {}) == {
        "COMPUTE_EPHEMERAL_ENCRYPTION",
        "COMPUTE_EPHEMERAL_ENCRYPTION_LUKS",
    }


@pytest.mark.parametrize(
    ("specs", "words", "expected"),
    [
        ({}, {}, 1),
        ({"hw:vif_multiqueue_enabled": "true"}, {}, 2),
        ({}, {"hw_vif_multiqueue_enabled": "yes", "hw_vif_model": "virtio"}, 2),
        ({"hw:vif_multiqueue_enabled": "true"}, {"hw_vif_model": "e1000"}, 1),
        ({"hw:vif_multiqueue_enabled": "false"}, {}, 1),
    ],
)
def test_interfaces_have_a_pair_of_queues_a_processor(
    specs: dict[str, str], words: dict[str, str], expected: int
) -> None:
    assert hardware.queues(flavor(specs, vcpus=2), words) == expected
