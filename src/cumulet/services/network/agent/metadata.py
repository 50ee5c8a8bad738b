# SPDX-License-Identifier: Apache-2.0
"""Guests' metadata: asked of the control plane over the link, and remembered for a few seconds."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from cumulet.kernel.errors import CumuletError, NotFound
from cumulet.services.network.contract import MetadataAnswer, MetadataQuery

LOG = logging.getLogger(__name__)

VERB = "compute.metadata"
TTL = 5.0  # seconds: a booting guest reads some twenty documents, several of them twice
TIMEOUT = 10.0
MOST = 2048  # answers kept


class MetadataSource:
    """Callable as `drivers.base.Metadata`; `call` is the link's."""

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call
        self._kept: dict[MetadataQuery, tuple[float, MetadataAnswer]] = {}
        self._lock = threading.Lock()

    def __call__(self, query: MetadataQuery) -> MetadataAnswer:
        """The answer for a guest: 503 while the control plane is away, which guests take as "try again"."""
        now = time.monotonic()
        with self._lock:
            kept = self._kept.get(query)
        if query.posted is not None:
            self._forget_password(query)
        elif kept is not None and kept[0] > now:
            return kept[1]
        try:
            found = self._call(VERB, msgspec.to_builtins(query), timeout=TIMEOUT)
        except NotFound:
            return MetadataAnswer(status=404)
        except (CumuletError, TimeoutError) as error:
            LOG.warning("metadata of %s on network %s: %s", query.address, query.network_id, error)
            return MetadataAnswer(status=503)
        answer = msgspec.convert(found, MetadataAnswer, builtin_types=(bytes,))
        if answer.status == 200 and query.posted is None:
            self._keep(query, answer, now)
        return answer

    def _forget_password(self, query: MetadataQuery) -> None:
        """What is posted must be seen by who reads it next."""
        with self._lock:
            own = (query.network_id, query.address)
            self._kept = {key: item for key, item in self._kept.items() if (key.network_id, key.address) != own}

    def _keep(self, query: MetadataQuery, answer: MetadataAnswer, now: float) -> None:
        with self._lock:
            if len(self._kept) >= MOST:
                self._kept = {key: item for key, item in self._kept.items() if item[0] > now}
            if len(self._kept) < MOST:
                self._kept[query] = (now + TTL, answer)
