# SPDX-License-Identifier: Apache-2.0
"""libvirt's C library, called in process: the functions that the driver needs, their types, and their errors.

The library's interface has been stable since its first release, so that one table serves every version; names,
numbers and layouts are those of `libvirt-domain.h`, `libvirt-host.h`, `libvirt-event.h` and `virterror.h`. Calls wait
without holding up other threads of this process.
"""

from __future__ import annotations

import ctypes
import threading
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_int, c_longlong, c_size_t, c_ubyte, c_uint, c_ulong, c_void_p
from functools import cache
from typing import Any

LIBRARY, QEMU_LIBRARY = "libvirt.so.0", "libvirt-qemu.so.0"
UUID_SPACE = 37  # bytes of a UUID in words, with the end mark

# Flags and numbers, by their names in the headers without `VIR_`.
DOMAIN_START_PAUSED = 1
DOMAIN_SAVE_PAUSED = 4
DOMAIN_AFFECT_LIVE = 1
DOMAIN_SHUTDOWN_ACPI = 1
DOMAIN_BLOCK_RESIZE_BYTES = 1
DOMAIN_BACKUP_BEGIN_REUSE_EXTERNAL = 1
DOMAIN_OPEN_GRAPHICS_SKIPAUTH = 1
DOMAIN_BLOCK_COPY_REUSE_EXT = 2
DOMAIN_BLOCK_JOB_ABORT_PIVOT = 2
DOMAIN_MEMORY_STAT_RSS = 7
EVENT_LIFECYCLE, EVENT_DEVICE_REMOVED, EVENT_BLOCK_JOB_2, EVENT_JOB_COMPLETED = 0, 15, 16, 21
BLOCK_JOB_READY = 3
LIFECYCLE_STOPPED, LIFECYCLE_SHUTDOWN = 5, 6
STOPPED_SAVED = 4
SHUTDOWN_BY_GUEST = 1
PAUSED_IO_ERROR = 5  # a reason for STATE_PAUSED
STATE_RUNNING, STATE_BLOCKED, STATE_PAUSED, STATE_SHUTDOWN, STATE_SHUTOFF, STATE_CRASHED = 1, 2, 3, 4, 5, 6
ERR_INTERNAL, ERR_SYSTEM, ERR_RPC, ERR_NO_DOMAIN, ERR_OPERATION_INVALID = 1, 38, 39, 42, 55
ERR_OPERATION_TIMEOUT, ERR_AGENT_UNRESPONSIVE, ERR_AGENT_UNSYNCED, ERR_DEVICE_MISSING = 68, 86, 97, 99
ERR_NO_CONNECT, ERR_INVALID_CONN, ERR_NO_SECRET = 5, 6, 66
_TYPED_BOOLEAN, _TYPED_STRING = 6, 7

LifecycleCallback = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int, c_void_p)
DeviceCallback = CFUNCTYPE(None, c_void_p, c_void_p, c_char_p, c_void_p)
BlockJobCallback = CFUNCTYPE(None, c_void_p, c_void_p, c_char_p, c_int, c_int, c_void_p)
JobCallback = CFUNCTYPE(None, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_ErrorCallback = CFUNCTYPE(None, c_void_p, c_void_p)


class DomainInfo(ctypes.Structure):
    """`virDomainInfo`; memory in KiB, time in nanoseconds."""

    _fields_ = (
        ("state", c_ubyte),
        ("max_memory", c_ulong),
        ("memory", c_ulong),
        ("vcpus", ctypes.c_ushort),
        ("cpu_time", ctypes.c_ulonglong),
    )


class VcpuInfo(ctypes.Structure):
    """`virVcpuInfo`; time in nanoseconds."""

    _fields_ = (("number", c_uint), ("state", c_int), ("cpu_time", ctypes.c_ulonglong), ("cpu", c_int))


class BlockStats(ctypes.Structure):
    """`virDomainBlockStatsStruct`; -1 where a counter is not kept."""

    _fields_ = (
        ("read_requests", c_longlong),
        ("read_bytes", c_longlong),
        ("write_requests", c_longlong),
        ("write_bytes", c_longlong),
        ("errors", c_longlong),
    )


class BlockInfo(ctypes.Structure):
    """`virDomainBlockInfo`; in bytes."""

    _fields_ = (
        ("capacity", ctypes.c_ulonglong),
        ("allocation", ctypes.c_ulonglong),
        ("physical", ctypes.c_ulonglong),
    )


class BlockJobInfo(ctypes.Structure):
    """`virDomainBlockJobInfo`."""

    _fields_ = (
        ("type", c_int),
        ("bandwidth", c_ulong),
        ("cursor", ctypes.c_ulonglong),
        ("end", ctypes.c_ulonglong),
    )


class MemoryStat(ctypes.Structure):
    """`virDomainMemoryStatStruct`; in KiB."""

    _fields_ = (("tag", c_int), ("value", ctypes.c_ulonglong))


class _Value(ctypes.Union):
    _fields_ = (("number", ctypes.c_ulonglong), ("boolean", ctypes.c_char), ("text", c_char_p))


class _TypedParameter(ctypes.Structure):
    _fields_ = (("field", ctypes.c_char * 80), ("type", c_int), ("value", _Value))


class _Error(ctypes.Structure):
    """The beginning of `virError`."""

    _fields_ = (("code", c_int), ("domain", c_int), ("message", c_char_p))


class LibvirtError(Exception):
    """A call failed; `code` is one of `virErrorNumber`, the message libvirt's own."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


_PARAMETERS = POINTER(POINTER(c_char_p))
# What each function returns, and what it takes.
_FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "virInitialize": (c_int, ()),
    "virGetVersion": (c_int, (POINTER(c_ulong), c_char_p, POINTER(c_ulong))),
    "virSetErrorFunc": (None, (c_void_p, _ErrorCallback)),
    "virGetLastError": (POINTER(_Error), ()),
    "virEventRegisterDefaultImpl": (c_int, ()),
    "virEventRunDefaultImpl": (c_int, ()),
    "virConnectOpen": (c_void_p, (c_char_p,)),
    "virConnectClose": (c_int, (c_void_p,)),
    "virConnectIsAlive": (c_int, (c_void_p,)),
    "virConnectGetType": (c_char_p, (c_void_p,)),
    "virConnectGetVersion": (c_int, (c_void_p, POINTER(c_ulong))),
    "virConnectGetLibVersion": (c_int, (c_void_p, POINTER(c_ulong))),
    "virConnectSetKeepAlive": (c_int, (c_void_p, c_int, c_uint)),
    "virConnectDomainEventRegisterAny": (c_int, (c_void_p, c_void_p, c_int, c_void_p, c_void_p, c_void_p)),
    "virConnectDomainEventDeregisterAny": (c_int, (c_void_p, c_int)),
    "virDomainLookupByUUIDString": (c_void_p, (c_void_p, c_char_p)),
    "virDomainGetUUIDString": (c_int, (c_void_p, c_char_p)),
    "virDomainFree": (c_int, (c_void_p,)),
    "virDomainCreateXML": (c_void_p, (c_void_p, c_char_p, c_uint)),
    "virDomainDestroyFlags": (c_int, (c_void_p, c_uint)),
    "virDomainShutdownFlags": (c_int, (c_void_p, c_uint)),
    "virDomainGetState": (c_int, (c_void_p, POINTER(c_int), POINTER(c_int), c_uint)),
    "virDomainSuspend": (c_int, (c_void_p,)),
    "virDomainResume": (c_int, (c_void_p,)),
    "virDomainSaveFlags": (c_int, (c_void_p, c_char_p, c_char_p, c_uint)),
    "virDomainRestoreFlags": (c_int, (c_void_p, c_char_p, c_char_p, c_uint)),
    "virDomainGetXMLDesc": (c_void_p, (c_void_p, c_uint)),
    "virDomainAttachDeviceFlags": (c_int, (c_void_p, c_char_p, c_uint)),
    "virDomainDetachDeviceAlias": (c_int, (c_void_p, c_char_p, c_uint)),
    "virDomainBlockResize": (c_int, (c_void_p, c_char_p, ctypes.c_ulonglong, c_uint)),
    "virDomainBlockCopy": (c_int, (c_void_p, c_char_p, c_char_p, c_void_p, c_int, c_uint)),
    "virDomainBlockJobAbort": (c_int, (c_void_p, c_char_p, c_uint)),
    "virDomainGetBlockJobInfo": (c_int, (c_void_p, c_char_p, POINTER(BlockJobInfo), c_uint)),
    "virDomainGetBlockInfo": (c_int, (c_void_p, c_char_p, POINTER(BlockInfo), c_uint)),
    "virDomainBackupBegin": (c_int, (c_void_p, c_char_p, c_char_p, c_uint)),
    "virDomainAbortJob": (c_int, (c_void_p,)),
    "virDomainInjectNMI": (c_int, (c_void_p, c_uint)),
    "virDomainSetUserPassword": (c_int, (c_void_p, c_char_p, c_char_p, c_uint)),
    "virDomainFSFreeze": (c_int, (c_void_p, _PARAMETERS, c_uint, c_uint)),
    "virDomainFSThaw": (c_int, (c_void_p, _PARAMETERS, c_uint, c_uint)),
    "virDomainOpenGraphicsFD": (c_int, (c_void_p, c_uint, c_uint)),
    "virDomainGetInfo": (c_int, (c_void_p, POINTER(DomainInfo))),
    "virDomainGetVcpus": (c_int, (c_void_p, POINTER(VcpuInfo), c_int, c_char_p, c_int)),
    "virDomainBlockStats": (c_int, (c_void_p, c_char_p, POINTER(BlockStats), c_size_t)),
    "virDomainMemoryStats": (c_int, (c_void_p, POINTER(MemoryStat), c_uint, c_uint)),
    "virSecretDefineXML": (c_void_p, (c_void_p, c_char_p, c_uint)),
    "virSecretSetValue": (c_int, (c_void_p, c_char_p, c_size_t, c_uint)),
    "virSecretLookupByUUIDString": (c_void_p, (c_void_p, c_char_p)),
    "virSecretUndefine": (c_int, (c_void_p,)),
    "virSecretFree": (c_int, (c_void_p,)),
    "virDomainQemuMonitorCommand": (c_int, (c_void_p, c_char_p, POINTER(c_void_p), c_uint)),
}
_begin = threading.Lock()


def call(name: str, *arguments: Any) -> Any:
    """What a function of the library returns. Raises LibvirtError where that says that it failed."""
    found = _functions()[name](*arguments)
    is_failed = found is None or (isinstance(found, int) and found == -1)
    if is_failed and _FUNCTIONS[name][0] is not None:
        raise _last_error()
    return found


def is_missing() -> str:
    """ "" where the library can be loaded, else what the loader says."""
    try:
        _functions()
    except OSError as error:
        return str(error)
    return ""


def take_text(address: int) -> str:
    """The text at an address that the library allocated; its memory is given back."""
    try:
        return ctypes.string_at(address).decode(errors="replace")
    finally:
        _libc().free(address)


def uuid_of(domain: int) -> str:
    """Whose domain it is that a callback was told of."""
    space = ctypes.create_string_buffer(UUID_SPACE)
    call("virDomainGetUUIDString", domain, space)
    return space.value.decode()


def typed_parameters(address: int, count: int) -> dict[str, Any]:
    """The booleans and texts among parameters that a callback was told."""
    found: dict[str, Any] = {}
    for each in (_TypedParameter * count).from_address(address) if count else ():
        if each.type == _TYPED_BOOLEAN:
            found[each.field.decode()] = each.value.boolean != b"\0"
        elif each.type == _TYPED_STRING:
            found[each.field.decode()] = (each.value.text or b"").decode(errors="replace")
    return found


def run_events() -> None:
    """See that the library's event loop runs, in a thread of its own for as long as this process lives.

    It has to be asked for before the first connection, or that one hears of nothing.
    """
    with _begin:
        _event_thread()


@cache
def _event_thread() -> threading.Thread:
    call("virInitialize")
    call("virEventRegisterDefaultImpl")
    thread = threading.Thread(target=_follow_events, name="libvirt-events", daemon=True)
    thread.start()
    return thread


def _follow_events() -> None:
    while True:
        call("virEventRunDefaultImpl")


@cache
def _functions() -> dict[str, Any]:
    libraries = [ctypes.CDLL(LIBRARY), ctypes.CDLL(QEMU_LIBRARY)]
    found: dict[str, Any] = {}
    for name, (returned, taken) in _FUNCTIONS.items():
        function = getattr(next(each for each in libraries if hasattr(each, name)), name)
        function.restype, function.argtypes = returned, taken
        found[name] = function
    # Errors are raised where they happen; the library would print them as well.
    found["virSetErrorFunc"](None, _SILENCE)
    return found


@cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None)
    libc.free.argtypes = [c_void_p]
    return libc


def _last_error() -> LibvirtError:
    found = _functions()["virGetLastError"]()
    if not found:
        return LibvirtError(ERR_INTERNAL, "no reason given")
    return LibvirtError(found.contents.code, (found.contents.message or b"").decode(errors="replace"))


def _be_silent(_data: object, _error: object) -> None:
    return


_SILENCE = _ErrorCallback(_be_silent)
