# SPDX-License-Identifier: Apache-2.0
"""Which accelerator really works: KVM only where guest code runs fast *and* QEMU boots a payload with it, else TCG.

A KVM that is itself emulated answers all calls, so that neither the device's presence nor its version says anything.
"""

from __future__ import annotations

import platform
import sys
import tempfile
from pathlib import Path

import msgspec

from cumulet.kernel import run
from cumulet.services.compute.drivers.base import boot_id
from cumulet.services.compute.drivers.qemu import kvm_trial
from cumulet.services.compute.drivers.qemu.command_line import PROGRAM

KVM_DEVICE = Path("/dev/kvm")
FAST = 0.05  # seconds for the trial's 200 000 loops; an emulated KVM takes ten times that
TRIAL_TIMEOUT = 3.0
BOOT_TIMEOUT = 2.0
PASSED = 99  # QEMU's exit status after 0x31 was written to isa-debug-exit

# long_mode.S, assembled.
_PAYLOAD = bytes.fromhex(
    "fa31c08ed88ec08ed0bc0070e4920c02e692bf0090b9002031c0fcf3ab66c706009007a0000066c70600a007b0000066c706"
    "00b087000000660f0116407d66b8200000000f22e066b8009000000f22d866b9800000c00f32660d000100000f3066b80100"
    "00800f22c066ea717c00000800b8100000008ed88ec08ed0bc006f0000bf00c00000488d056700000066898700080000c787"
    "02080000080000ee66c7870608000000000f011c25467d0000b800d0000048c7042504d0000000680000b8280000000f00d8"
    "b9400d03004801cae2fb31c00fa26a2368006600006a026a1b488d05030000005048cfbb5a5a0000cd80ebfeb03181fb5a5a"
    "00007402b032e6f4f4ebfb0f1f000000000000000000ffff0000009aaf00ffff00000092cf00ffff000000faaf00ffff0000"
    "00f2cf00670000d00089000000000000000000003700087d0000ff0f00c0"
)
BOOT_SECTOR = _PAYLOAD.ljust(510, b"\0") + b"\x55\xaa"


class Accelerator(msgspec.Struct, frozen=True):
    """`name` is `kvm` or `tcg`; `reason` says in words why."""

    name: str
    reason: str


class _Cached(msgspec.Struct):
    boot_id: str
    qemu: str
    found: Accelerator


def probe(cache: Path | None = None) -> Accelerator:
    """Find out; the answer is kept in the file `cache` for this boot of the machine and this QEMU."""
    version = qemu_version()
    if cache is not None and cache.exists():
        try:
            kept = msgspec.json.decode(cache.read_bytes(), type=_Cached)
        except msgspec.DecodeError:
            kept = None
        if kept is not None and (kept.boot_id, kept.qemu) == (boot_id(), version):
            return kept.found
    found = _probe()
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_bytes(msgspec.json.encode(_Cached(boot_id(), version, found)))
    return found


def qemu_version() -> str:
    """`7.2.22`. Raises CommandFailed where QEMU is not installed."""
    words = run.run([PROGRAM, "--version"]).stdout.decode().split()
    return words[words.index("version") + 1]


def boots(accelerator: str, timeout: float = BOOT_TIMEOUT) -> bool:
    """Whether QEMU boots the payload with the accelerator."""
    with tempfile.NamedTemporaryFile(suffix=".img") as sector:
        sector.write(BOOT_SECTOR)
        sector.flush()
        argv = [PROGRAM, "-accel", accelerator, "-M", "pc", "-m", "16", "-nodefaults", "-no-user-config"]
        argv += ["-display", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"]
        argv += ["-drive", f"file={sector.name},format=raw,if=ide,snapshot=on"]
        try:
            return run.run(argv, timeout=timeout, check=False).returncode == PASSED
        except run.CommandFailed:
            return False


def _probe() -> Accelerator:
    if platform.machine() != "x86_64":
        return Accelerator("tcg", f"the host is {platform.machine()}, guests are x86_64")
    if not KVM_DEVICE.exists():
        return Accelerator("tcg", f"{KVM_DEVICE} does not exist")
    try:
        done = run.run([sys.executable, "-I", kvm_trial.__file__], timeout=TRIAL_TIMEOUT, check=False)
    except run.CommandFailed:
        return Accelerator("tcg", "guest code under KVM did not end")
    if done.returncode != 0:
        return Accelerator("tcg", f"KVM does not run guest code: {done.stderr.decode(errors='replace')[-200:]}")
    seconds = float(done.stdout)
    if seconds > FAST:
        return Accelerator("tcg", f"KVM emulates: 200000 loops of guest code took {seconds:.2f} s")
    if not boots("kvm"):
        return Accelerator("tcg", "QEMU does not boot a payload with KVM")
    return Accelerator("kvm", "QEMU boots a payload with KVM")
