# SPDX-License-Identifier: Apache-2.0
"""Telling others of changes, in the commit that makes them."""

from __future__ import annotations

from cumulet.kernel import log
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.services.identity import events


class Teller:
    """Publishes notifications of one request; made in the request's own thread, which knows its id."""

    def __init__(self, cloud: Cloud) -> None:
        self._outbox = cloud.outbox
        self._request_id = log.request_id.get()

    def tell(self, tx: Tx, kind: str, operation: events.Operation, resource_id: str) -> None:
        topic, payload = events.basic(kind, operation, resource_id)
        self._outbox.publish(tx, topic, payload, self._request_id)
