# SPDX-License-Identifier: Apache-2.0
"""Asking the agent in a guest by libvirt, which holds the other end of its port."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from cumulet.kernel.errors import Conflict
from cumulet.services.compute.drivers.libvirt import library
from cumulet.services.compute.drivers.libvirt.library import LibvirtError
from cumulet.services.compute.drivers.libvirt.running import RunningDomain
from cumulet.services.compute.types import Guest

LOG = logging.getLogger(__name__)

# A guest that is held could not answer either, which libvirt calls an invalid operation.
_SILENT = (
    library.ERR_AGENT_UNRESPONSIVE,
    library.ERR_AGENT_UNSYNCED,
    library.ERR_OPERATION_TIMEOUT,
    library.ERR_OPERATION_INVALID,
)


def set_password(domain: RunningDomain, user: str, password: str) -> None:
    """Set a user's password. Conflict: `InstancePasswordSetFailed` where the guest refuses."""
    _ask(lambda: domain.set_password(user, password), "InstancePasswordSetFailed", "the guest refused")


def freeze(domain: RunningDomain) -> None:
    """Have the guest write everything out and hold its file systems. Conflict: `InstanceQuiesceFailed`."""
    _ask(domain.freeze, "InstanceQuiesceFailed", "Failed to quiesce instance")


def thaw(domain: RunningDomain) -> None:
    """Let them go on; nothing happens where they are not held."""
    _ask(domain.thaw, "GuestAgentRefused", "the guest refused")


@contextmanager
def held(domain: RunningDomain, guest: Guest) -> Iterator[Callable[[], None]]:
    """Hold the guest's file systems, where it has an agent; what is yielded lets them go on before the end.

    Where they cannot be held nothing happens, or Conflict where the guest needs it.
    """
    is_held = False

    def release() -> None:
        nonlocal is_held
        if is_held:
            is_held = False
            try:
                thaw(domain)
            except Conflict as error:
                LOG.warning("the guest's file systems may still be held: %s", error.message)

    if guest.needs_quiesce and not guest.agent:
        raise no_agent()
    if guest.agent:
        try:
            freeze(domain)
            is_held = True
        except Conflict as error:
            # Some of them may be held.
            is_held = error.code == "InstanceQuiesceFailed"
            release()
            if guest.needs_quiesce:
                raise
            LOG.info("not held for a snapshot: %s", error.message)
    try:
        yield release
    finally:
        release()


def no_agent() -> Conflict:
    return Conflict("QEMU guest agent is not enabled", code="QemuGuestAgentNotEnabled")


def _ask(question: Callable[[], None], code: str, words: str) -> None:
    try:
        question()
    except LibvirtError as error:
        if error.code in _SILENT:
            raise Conflict("the QEMU guest agent does not answer", code="QemuGuestAgentNotEnabled") from error
        raise Conflict(f"{words}: {error}", code=code) from error
