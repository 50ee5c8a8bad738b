# SPDX-License-Identifier: Apache-2.0
"""Guests whose file systems stand still while their disks are copied, where an agent in them does that."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from cumulet.kernel.errors import Conflict, CumuletError
from cumulet.services.compute.drivers.base import Hypervisor
from cumulet.services.compute.types import PowerState, ServerSpec

LOG = logging.getLogger(__name__)


@contextmanager
def quiesced(hypervisor: Hypervisor, spec: ServerSpec) -> Iterator[None]:
    """Hold the file systems of a running guest meanwhile.

    Where its agent does not, the guest writes on, unless its image says that this must not be (`os_require_quiesce`):
    Conflict then.
    """
    held = hypervisor.power(spec.id) == PowerState.RUNNING and _hold(hypervisor, spec)
    try:
        yield
    finally:
        if held:
            hypervisor.unquiesce(spec.id)


def _hold(hypervisor: Hypervisor, spec: ServerSpec) -> bool:
    try:
        if not spec.guest.agent:
            raise Conflict("QEMU guest agent is not enabled", code="QemuGuestAgentNotEnabled")
        # Whoever died with the guest held has left it so, and a guest that is held refuses to be held again.
        hypervisor.unquiesce(spec.id)
        hypervisor.quiesce(spec.id)
    except CumuletError as error:
        if spec.guest.needs_quiesce:
            raise
        LOG.info("server %s writes on while its disk is copied: %s", spec.id, error.message)
        return False
    return True
