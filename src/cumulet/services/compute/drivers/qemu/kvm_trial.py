# SPDX-License-Identifier: Apache-2.0
"""A program that runs 200 000 loops of 64-bit guest code by KVM's own calls and prints how many seconds they took.

It runs in a process of its own, for a hypervisor below that only pretends may never come back. It exits with 1 and says
why where KVM cannot do it. Facts: Linux, Documentation/virt/kvm/api.rst.
"""

from __future__ import annotations

import ctypes
import fcntl
import mmap
import os
import struct
import sys
import time

API_VERSION = 12
EXIT_IO, EXIT_INTERRUPTED = 2, 10
PORT = 0xF4
CODE_AT, MEMORY = 0x1000, 0x10000
# mov ecx, 200000; 1: add rdx, rcx; loop 1b; xor eax, eax; cpuid; mov al, 0x31; out 0xf4, al; hlt
CODE = bytes.fromhex("b9400d0300 4801ca e2fb 31c0 0fa2 b031 e6f4 f4")


def _io(number: int) -> int:
    return 0xAE00 | number


def _read(number: int, size: int) -> int:
    return (2 << 30) | (size << 16) | _io(number)


def _write(number: int, size: int) -> int:
    return (1 << 30) | (size << 16) | _io(number)


def _machine(kvm: int) -> tuple[int, mmap.mmap]:
    """A virtual machine with one page of code and its page tables, and its memory."""
    machine = fcntl.ioctl(kvm, _io(0x01), 0)
    memory = mmap.mmap(-1, MEMORY)
    memory[CODE_AT : CODE_AT + len(CODE)] = CODE
    for at, entry in ((0x2000, 0x3007), (0x3000, 0x4007), (0x4000, 0x87)):
        struct.pack_into("Q", memory, at, entry)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    ctypes.CDLL(None).ioctl(machine, ctypes.c_ulong(_io(0x47)), ctypes.c_ulong(0xFFFBD000))
    fcntl.ioctl(machine, _write(0x46, 32), struct.pack("IIQQQ", 0, 0, 0, MEMORY, address))
    return machine, memory


def _long_mode(cpu: int) -> None:
    """Put the processor into 64-bit mode with paging, at the first instruction."""
    special = bytearray(312)
    fcntl.ioctl(cpu, _read(0x83, 312), special)
    segments = [(8, 11, 1, 0)] + [(16, 3, 0, 1)] * 5  # selector, type, long, 32-bit default
    for index, (selector, kind, is_long, default) in enumerate(segments):
        values = (0, 0xFFFFFFFF, selector, kind, 1, 0, default, 1, is_long, 1, 0, 0, 0)
        struct.pack_into("QIHBBBBBBBBBB", special, 24 * index, *values)
    # CR0 CR2 CR3 CR4 CR8 EFER
    struct.pack_into("QQQQQQ", special, 24 * 8 + 16 * 2, 0x80000011, 0, 0x2000, 0x20, 0, 0x500)
    fcntl.ioctl(cpu, _write(0x84, 312), bytes(special))
    registers = bytearray(144)
    struct.pack_into("QQ", registers, 16 * 8, CODE_AT, 2)  # RIP, RFLAGS
    fcntl.ioctl(cpu, _write(0x82, 144), bytes(registers))


def main() -> str:
    """An empty string and the printed time, or what is wrong."""
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    if fcntl.ioctl(kvm, _io(0x00), 0) != API_VERSION:
        return "another version of KVM's interface"
    machine, _memory = _machine(kvm)
    cpu = fcntl.ioctl(machine, _io(0x41), 0)
    size = fcntl.ioctl(kvm, _io(0x04), 0)
    state = mmap.mmap(cpu, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
    _long_mode(cpu)
    began = time.monotonic()
    reason = EXIT_INTERRUPTED
    while reason == EXIT_INTERRUPTED:
        fcntl.ioctl(cpu, _io(0x80), 0)
        reason = struct.unpack_from("I", state, 8)[0]
    if reason != EXIT_IO or struct.unpack_from("BBHI", state, 32)[2] != PORT:
        return f"the guest ended for reason {reason}"
    sys.stdout.write(f"{time.monotonic() - began:.6f}\n")
    return ""


if __name__ == "__main__":
    try:
        fault = main()
    except OSError as error:
        fault = str(error)
    sys.stderr.write(fault)
    raise SystemExit(1 if fault else 0)
