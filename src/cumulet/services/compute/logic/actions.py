# SPDX-License-Identifier: Apache-2.0
"""The record of what users did to their servers, and how it ended."""

from __future__ import annotations

from datetime import datetime

from cumulet.kernel import clock, ids
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.services.compute.store import actions as store
from cumulet.services.compute.types import Action, ActionEvent, Server

SUCCESS, ERROR = "Success", "Error"
FAILED_MESSAGE = "Error"


def begin(tx: Tx, ctx: Context, server_id: str, action: str) -> None:
    """Note that the caller asked for `action`."""
    _begin(tx, server_id, ctx.request_id, action, ctx.project_id or "", ctx.user_id)


def begin_of_service(tx: Tx, server: Server, request_id: str, action: str) -> None:
    """Note that another service does `action` for a request that it was sent; it counts as its owner's."""
    _begin(tx, server.id, request_id, action, server.project_id, server.user_id)


def event_began(tx: Tx, server_id: str, request_id: str, event: str, host: str) -> None:
    """Note that a step of the action that the request asked for is under way, be it anew on another host."""
    action = store.find(tx, server_id, request_id)
    if action is None:
        return
    found = _newest(tx, action.id, event)
    if found is None or (found.finish_time is not None and found.host != host):
        new = ActionEvent(
            id=ids.new_uuid(),
            action_id=action.id,
            event=event,
            host=host,
            start_time=clock.utcnow(),
            finish_time=None,
            result=None,
            details=None,
        )
        store.add_event(tx, new)


def event_ended(tx: Tx, server_id: str, request_id: str, event: str, host: str, error: str | None = None) -> None:
    """Note how the step ended; it is begun where nobody did."""
    event_began(tx, server_id, request_id, event, host)
    action = store.find(tx, server_id, request_id)
    if action is None:
        return
    now = clock.utcnow()
    found = _newest(tx, action.id, event)
    assert found is not None
    result = SUCCESS if error is None else ERROR
    store.change_event(tx, found.id, {"finish_time": now, "result": result, "details": error})
    store.change(tx, action.id, {"updated_at": now, "message": None if error is None else FAILED_MESSAGE})


def find_all(
    source: Source,
    server_id: str,
    *,
    marker: str | None,
    limit: int | None,
    since: datetime | None,
    before: datetime | None,
) -> list[Action]:
    """The actions on a server, the newest first; `marker` is a request id."""
    last = None
    if marker is not None:
        last = store.find(source, server_id, marker)
        if last is None:
            raise Invalid(f"marker [{marker}] not found", code="MarkerNotFound")
    return store.of_server(source, server_id, marker=last, limit=limit, since=since, before=before)


def _newest(source: Source, action_id: str, event: str) -> ActionEvent | None:
    return next((each for each in store.events(source, action_id) if each.event == event), None)


def _begin(tx: Tx, server_id: str, request_id: str, action: str, project_id: str, user_id: str) -> None:
    now = clock.utcnow()
    if store.find(tx, server_id, request_id) is None:
        new = Action(
            id=ids.new_uuid(),
            server_id=server_id,
            request_id=request_id,
            action=action,
            project_id=project_id,
            user_id=user_id,
            message=None,
            start_time=now,
            updated_at=now,
        )
        store.add(tx, new)


def get(source: Source, server_id: str, request_id: str) -> tuple[Action, list[ActionEvent]]:
    """An action by the request that asked for it, with its events."""
    action = store.find(source, server_id, request_id)
    if action is None:
        raise NotFound(f"Action {request_id} not found")
    return action, store.events(source, action.id)
