# SPDX-License-Identifier: Apache-2.0
"""Telling others of changes, in the commit that makes them."""

from __future__ import annotations

from typing import Literal

from cumulet.kernel import log, origin
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Tx
from cumulet.services.identity import events
from cumulet.services.identity.store import services
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Actor, Assignment, Target


class Teller:
    """Publishes notifications of one request; made in the request's own thread, which knows who asks."""

    def __init__(self, cloud: Cloud) -> None:
        settings = cloud.settings.identity
        self._outbox = cloud.outbox
        self._silent = settings.notification_opt_out
        self._is_basic = settings.notification_format == "basic"
        self._request_id = log.request_id.get()
        self._initiator = by_caller()
        self._observer: list[str] = []  # once it was looked up: this service's id in the catalogue, where it has one

    def tell(
        self,
        tx: Tx,
        kind: str,
        operation: events.Operation,
        resource_id: str,
        *,
        reason: events.Payload | None = None,
        member: events.Payload | None = None,
    ) -> None:
        """A resource of the kind (project, domain, user, ...) was changed, or was not for the reason said."""
        topic = events.topic(kind, operation)
        if topic in self._silent:
            return
        if self._is_basic:
            payload = events.basic(resource_id, self._initiator, member)
        else:
            payload = events.change(kind, operation, resource_id, self._initiator, self._observer_id(tx), reason)
        self._publish(tx, topic, payload)

    def tell_member(self, tx: Tx, group_id: str, user_id: str, operation: Literal["added", "removed"]) -> None:
        """A user came into a group or left it."""
        self.tell(tx, "group", "updated", group_id, member=events.membership(user_id, operation))

    def tell_grant(
        self, tx: Tx, operation: Literal["created", "deleted"], given: Assignment, outcome: events.Outcome = "success"
    ) -> None:
        """A role was given or taken back, or that was refused; of roles on the system Keystone tells nothing."""
        topic = events.topic(events.GRANT, operation)
        if topic in self._silent or given.target == Target.SYSTEM:
            return
        said: events.Payload = {
            "project" if given.target == Target.PROJECT else "domain": given.target_id,
            "user" if given.actor == Actor.USER else "group": given.actor_id,
            "inherited_to_projects": given.inherited,
            "role": given.role_id,
        }
        self._publish(tx, topic, events.grant(operation, outcome, self._initiator, self._observer_id(tx), said))

    def tell_log_in(
        self, tx: Tx, outcome: events.Outcome, who: events.Payload, reason: events.Payload | None = None, mark: str = ""
    ) -> None:
        """Somebody has logged in, or has tried to; `who` is what is known of them. For what `tells_log_ins` allows."""
        self._publish(tx, events.LOG_IN, events.log_in(outcome, who, self._observer_id(tx), reason, mark))

    def _observer_id(self, tx: Tx) -> str | None:
        if not self._observer:
            self._observer = [found.id for found in services.find_all(tx, [Filter("type", "identity")])][:1]
        return next(iter(self._observer), None)

    def _publish(self, tx: Tx, topic: str, payload: events.Payload) -> None:
        self._outbox.publish(tx, topic, payload, self._request_id)


def tells_log_ins(cloud: Cloud, outcome: events.Outcome) -> bool:
    """Whether anybody wants to know of log-ins with this outcome."""
    return f"{events.LOG_IN}.{outcome}" not in cloud.settings.identity.notification_opt_out


def by_caller() -> events.Payload | None:
    """Whoever makes the request that the running thread serves; None where it serves none."""
    asked = origin.current.get()
    if asked is None:
        return None
    ctx = asked.ctx
    return events.initiator(
        address=asked.client,
        agent=asked.headers.get("user-agent", ""),
        user_id=ctx.user_id,
        name=ctx.user_name,
        project_id=ctx.project_id or "",
        domain_id=ctx.domain_id or "",
        **_request_ids(asked),
    )


def by_somebody(**known: str) -> events.Payload:
    """Whoever tries to log in by that request, with what is known of them (`events.initiator`)."""
    asked = origin.current.get()
    if asked is None:
        return events.initiator(address="", agent="", **known)
    return events.initiator(
        address=asked.client, agent=asked.headers.get("user-agent", ""), **_request_ids(asked), **known
    )


def _request_ids(asked: origin.Origin) -> dict[str, str]:
    """The request's id, which is the one of the whole work too where the caller brought it along."""
    brought = asked.headers.get("x-openstack-request-id") == asked.request_id
    return {"request_id": asked.request_id, "global_request_id": asked.request_id if brought else ""}
