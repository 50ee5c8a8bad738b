# SPDX-License-Identifier: Apache-2.0
"""How much is claimed."""

from __future__ import annotations

from collections import defaultdict

from cumulet.kernel.db import Source
from cumulet.services.placement.store import usages as store
from cumulet.services.placement.types import UNKNOWN_TYPE

COUNT = "consumer_count"
ALL_TYPES = "all"


def of_provider(source: Source, uuid: str) -> dict[str, int]:
    """What is claimed of the provider, by class; classes of which nothing is claimed are absent."""
    return {name: used for (_, name), used in store.of_providers(source, [uuid]).items()}


def of_project(source: Source, project_id: str, user_id: str | None = None) -> dict[str, int]:
    """What the consumers of a project (and user) hold, by class."""
    total: dict[str, int] = defaultdict(int)
    for (_, name), used in store.of_project(source, project_id, user_id).items():
        total[name] += used
    return dict(total)


def by_consumer_type(
    source: Source, project_id: str, user_id: str | None = None, consumer_type: str | None = None
) -> dict[str, dict[str, int]]:
    """The same by type of consumer, with the number of consumers as `consumer_count`.

    `consumer_type` asks for one type alone; `all` puts all of them together under that word.
    """
    together = consumer_type == ALL_TYPES
    found: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for (kind, name), used in store.of_project(source, project_id, user_id).items():
        found[ALL_TYPES if together else kind or UNKNOWN_TYPE][name] += used
    for kind, count in store.consumers_of_project(source, project_id, user_id).items():
        found[ALL_TYPES if together else kind or UNKNOWN_TYPE][COUNT] += count
    return {kind: dict(amounts) for kind, amounts in found.items() if consumer_type in (None, kind)}
