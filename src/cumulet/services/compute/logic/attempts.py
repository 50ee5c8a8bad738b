# SPDX-License-Identifier: Apache-2.0
"""Building a server on another host after one has failed: when that may help, how often, and what its owner is told.

The words and the number of attempts are Nova's (`nova.scheduler.utils`, `nova.conductor.manager`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cumulet.kernel import errors
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Conflict
from cumulet.services.compute.logic import scheduling
from cumulet.services.compute.logic.scheduler.place import Place
from cumulet.services.compute.types import Server
from cumulet.services.network.contract import ResourceRequest

# What was asked for cannot be had of any host.
_HOPELESS = (errors.Invalid, errors.TooLarge, errors.NotFound, errors.Gone, errors.Forbidden, errors.OverQuota)
_NO_MORE = "Exceeded maximum number of retries."
_HOPELESS_CODES = ("FlavorDiskSmallerThanImage", "ImageUnacceptable")


def tried(state: Mapping[str, Any]) -> list[str]:
    """The hosts that have failed to build the server, by the memory of its saga."""
    return list(state.get("tried", ()))


def may_help(cloud: Cloud, error: Exception, forced: str) -> bool:
    """Whether another host may do what one has answered with an error; not where one was asked for by name.

    A host that is away may have built the server, or be about to: it is waited for (NotReady).
    """
    if forced or cloud.settings.scheduler.max_attempts == 1 or isinstance(error, errors.NotReady):
        return False
    return not isinstance(error, _HOPELESS) and getattr(error, "code", "") not in _HOPELESS_CODES


def failed(cloud: Cloud, server: Server, before: list[str], error: Exception) -> list[str]:
    """The hosts that have failed, with this one; Conflict (MaxRetriesExceeded) where those are as many as may be."""
    most = cloud.settings.scheduler.max_attempts
    if len(before) + 1 >= most:
        raise _no_more(f"Exceeded max scheduling attempts {most} for instance {server.id}. Last exception: {error}")
    return [*before, server.host]


def choose(
    cloud: Cloud, server: Server, forced: str, failed_on: list[str], ports: Sequence[ResourceRequest] = ()
) -> Place:
    """As `scheduling.choose`; Conflict (MaxRetriesExceeded) where some have failed and no other host will do."""
    try:
        return scheduling.choose(cloud, server, forced, failed_on, ports)
    except Conflict as error:
        if not failed_on:
            raise
        words = f"Exhausted all hosts available for retrying build failures for instance {server.id}."
        raise _no_more(words) from error


def is_about_attempts(message: str) -> bool:
    """Whether a fault says that every host that was tried has failed."""
    return message.startswith(_NO_MORE)


def _no_more(reason: str) -> Conflict:
    return Conflict(f"{_NO_MORE} {reason}", code="MaxRetriesExceeded")
