# SPDX-License-Identifier: Apache-2.0
"""Whether this machine can run servers, and how fast: each probe boots or makes the thing itself."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from cumulet.kernel.doctor import Finding, Probe
from cumulet.kernel.errors import Conflict, NotReady
from cumulet.kernel.run import CommandFailed

if TYPE_CHECKING:
    from cumulet.settings import Settings

_INSTALL_QEMU = "apt-get install qemu-system-x86 qemu-utils"
_INSTALL_LIBVIRT = "apt-get install libvirt-daemon-system"
BOOT_TIMEOUT = 20.0  # seconds: a busy machine without KVM


def probes(settings: Settings) -> list[Probe]:
    """Nothing is needed for the fake hypervisor."""
    if settings.compute.driver == "fake":
        return []
    others = [Probe("compute: libvirt", lambda: _libvirt(settings))] if settings.compute.driver == "libvirt" else []
    return [
        *others,
        Probe("compute: qemu", _qemu),
        Probe("compute: disks", _disks),
        Probe("compute: accelerator", lambda: _accelerator(settings)),
        Probe("compute: firmware", _firmware),
        Probe("compute: TPM", _tpm),
    ]


def _qemu() -> Finding:
    """Whether QEMU boots a payload at all."""
    from cumulet.services.compute.drivers.qemu import accelerator

    try:
        version = accelerator.qemu_version()
    except CommandFailed:
        return Finding("missing", "QEMU is not installed", _INSTALL_QEMU)
    if not accelerator.boots("tcg", BOOT_TIMEOUT):
        return Finding("missing", f"QEMU {version} does not boot a payload", f"{_INSTALL_QEMU} --reinstall")
    return Finding("ok", f"QEMU {version} boots")


def _libvirt(settings: Settings) -> Finding:
    """Whether libvirt's daemon answers, and starts a domain on disks that this process makes."""
    from cumulet.services.compute.drivers.libvirt import library, trial

    if words := library.is_missing():
        return Finding("missing", f"libvirt's library cannot be loaded: {words}", _INSTALL_LIBVIRT)
    uri = settings.compute.libvirt_uri
    try:
        runs = trial.starts(uri)
    except NotReady as error:
        return Finding("missing", f"{uri}: {error.message}", _INSTALL_LIBVIRT)
    except Conflict as error:
        return Finding("missing", f"{uri} starts no server: {error.message}", "see docs/operate/libvirt.md")
    return Finding("ok", f"{uri} starts servers") if runs else Finding("missing", f"{uri}: servers end at once")


def _disks() -> Finding:
    """Whether an overlay can be laid above an image."""
    from cumulet.services.compute.drivers.qemu import overlay

    with tempfile.TemporaryDirectory() as scratch:
        base = Path(scratch) / "base"
        base.write_bytes(bytes(1 << 20))
        try:
            overlay.make_root(Path(scratch) / "root.qcow2", base, "raw", 1)
        except CommandFailed as error:
            return Finding("missing", f"no disk can be made: {error.output}", _INSTALL_QEMU)
    return Finding("ok", "overlays above images can be made")


def _firmware() -> Finding:
    """Whether servers can have UEFI, and secure boot."""
    from cumulet.services.compute.drivers.qemu import firmware

    kinds = {"UEFI": firmware.find("q35", secure=False), "secure boot": firmware.find("q35", secure=True)}
    absent = [name for name, build in kinds.items() if build is None]
    if absent:
        return Finding("degraded", f"no server can have {' or '.join(absent)}", "apt-get install ovmf")
    return Finding("ok", "UEFI and secure boot can be had")


def _tpm() -> Finding:
    """Whether servers can have a TPM."""
    from cumulet.services.compute.drivers.qemu import tpm

    if not tpm.is_here():
        return Finding("degraded", "no server can have a TPM", "apt-get install swtpm")
    return Finding("ok", "swtpm is here")


def _accelerator(settings: Settings) -> Finding:
    """What servers will run with; without KVM they run, some ten times slower."""
    from cumulet.services.compute.drivers.qemu import accelerator

    wanted = settings.compute.accelerator
    if wanted == "tcg":
        return Finding("ok", "TCG, chosen by the setting compute.accelerator")
    found = accelerator.probe()
    if found.name == "kvm":
        return Finding("ok", f"KVM: {found.reason}")
    if wanted == "kvm":
        return Finding("missing", f"KVM is asked for: {found.reason}", "--set compute.accelerator=auto")
    return Finding("degraded", f"TCG, for {found.reason}: servers are slow")
