# SPDX-License-Identifier: Apache-2.0
"""Why something is as it is: what its service knows, the slow work on it, its host, what is waited for and what to do.

A service names in its manifest the kinds that it explains; its `logic/explain.py` exports `EXPLAINS`, a function for
each, `fn(cloud, id) -> Explanation | None` (see `Explain`). The kernel adds the sagas and the link to the host.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from sqlalchemy import select

from cumulet.kernel import clock
from cumulet.kernel.db import sql, tables
from cumulet.kernel.errors import CumuletError, Invalid, NotFound
from cumulet.kernel.saga import RUNNING, UNDOING, Saga

if TYPE_CHECKING:
    from cumulet.kernel.cloud import Cloud
    from cumulet.kernel.saga import Flow

SAGAS = 10  # the newest ones that are shown
HOST_TIMEOUT = 10.0  # seconds that a host is given to say what it sees

Body = dict[str, Any]
FindFlow = Callable[[str], "Flow"]


class Explanation(msgspec.Struct, kw_only=True):
    """What a service knows of one of its things. All values are plain data that people can read.

    `state` is the API's word for it; `facts` are its own; `parts` are other things that it is made of, each with
    `kind`, `id` and what is known. `host` is where it is, "" where it is nowhere; `reported` is what that host says of
    it now; `layers` are what it needs there and elsewhere, from the outside in, each with `name`, whether it is
    `sound`, and `words`. `events` are the latest, oldest first. `waiting` says what is being waited for, `advice` what
    to do. `path` is what a packet would meet that was asked about, the verdict last.
    """

    kind: str
    id: str
    name: str
    state: str
    owner: dict[str, str]
    facts: dict[str, Any] = {}
    parts: list[Body] = []
    host: str = ""
    reported: dict[str, Any] = {}
    layers: list[Body] = []
    path: list[str] = []
    events: list[Body] = []
    waiting: list[str] = []
    advice: list[str] = []


class Explain(Protocol):
    """What `EXPLAINS` holds for a kind. Looks only, asks hosts briefly; None where there is no such thing.

    `asked` are questions besides, by name; a kind that does not know them leaves them alone.
    """

    def __call__(self, cloud: Cloud, key: str, asked: Mapping[str, str]) -> Explanation | None: ...


def explain(cloud: Cloud, find_flow: FindFlow, kind: str, key: str, asked: Mapping[str, str] | None = None) -> Body:
    """The whole explanation as plain data. Raises Invalid for a kind that nobody explains, NotFound."""
    found = _by_service(cloud, kind)(cloud, key, asked or {})
    if found is None:
        raise NotFound(f"There is no {kind} {key}.")
    sagas = [_saga(find_flow, saga) for saga in _sagas(cloud, key)]
    waiting, advice = _of_sagas(sagas)
    link, host_waiting, host_advice = _link(cloud, found.host)
    told: Body = msgspec.to_builtins(found)
    return {
        **told,
        "sagas": sagas,
        "link": link,
        "waiting": [*waiting, *host_waiting, *found.waiting],
        "advice": [*advice, *host_advice, *found.advice],
    }


def ask_host(cloud: Cloud, host: str, verb: str, body: Body) -> Body:
    """What a host answers now; its silence, in words, where it does not."""
    if not host:
        return {}
    try:
        answer = cloud.hosts.call(host, verb, body, timeout=HOST_TIMEOUT)
    except (CumuletError, TimeoutError) as error:
        return {"silent": str(error)}
    return answer if isinstance(answer, dict) else {"answer": answer}


def door_verb(cloud: Cloud, find_flow: FindFlow) -> Callable[[Body], Body]:
    """The verb `explain` of the control plane's door: `{"kind", "id"}`, and further questions."""

    def verb(words: Body) -> Body:
        asked = {name: str(value) for name, value in words.items() if name not in ("kind", "id") and value}
        return explain(cloud, find_flow, str(words.get("kind")), str(words.get("id")), asked)

    return verb


def _by_service(cloud: Cloud, kind: str) -> Explain:
    for service in cloud.services:
        if kind in service.explains and (room := service.room("logic.explain")):
            found: Explain = room.EXPLAINS[kind]
            return found
    known = sorted(kind for service in cloud.services for kind in service.explains)
    raise Invalid(f"{kind} cannot be explained; these can: {', '.join(known)}")


def _sagas(cloud: Cloud, subject: str) -> list[Saga]:
    query = select(tables.saga).where(tables.saga.c.subject == subject).order_by(tables.saga.c.id.desc()).limit(SAGAS)
    return sql.rows(cloud.db, query, Saga)[::-1]


def _saga(find_flow: FindFlow, saga: Saga) -> Body:
    try:
        names = [step.name for step in find_flow(saga.flow).steps]
    except KeyError:  # of another release
        names = []
    now = clock.now()
    running = saga.status in (RUNNING, UNDOING)
    return {
        "flow": saga.flow,
        "request_id": saga.request_id,
        "status": "cancelled" if saga.cancelled and running else saga.status,
        "began": _time(saga.created_at),
        "ended": _time(saga.finished_at) if saga.finished_at is not None else None,
        "error": saga.error,
        "steps": [{"name": name, "is": _progress(saga, number)} for number, name in enumerate(names)],
        "step": names[saga.step] if running and 0 <= saga.step < len(names) else None,
        "step_seconds": round(now - saga.step_since, 1) if running else None,
        "attempts": saga.attempts,
        "next_attempt_in": round(max(0.0, saga.wake_at - now), 1) if running else None,
        "worked_on_by": saga.owner if saga.owner and saga.lease_until > now else None,
    }


def _progress(saga: Saga, number: int) -> str:
    if saga.status == RUNNING and number == saga.step:
        return "under way"
    if saga.status == UNDOING and number == saga.step:
        return "being undone"
    if saga.status in (UNDOING, "failed"):
        return "undone" if number > saga.step else "done"
    return "done" if number < saga.step else "to come"


def _of_sagas(sagas: list[Body]) -> tuple[list[str], list[str]]:
    waiting, advice = [], []
    open_ones = [saga for saga in sagas if saga["ended"] is None]
    for position, saga in enumerate(open_ones):
        if position:
            waiting.append(f"{saga['flow']} waits for {open_ones[0]['flow']} to end")
            continue
        words = f"{saga['flow']}: step {saga['step'] or 'end'} for {saga['step_seconds']} s"
        if saga["attempts"]:
            words += f", attempt {saga['attempts'] + 1} in {saga['next_attempt_in']} s"
        waiting.append(f"{words}; {saga['error']}" if saga["error"] else words)
        if saga["worked_on_by"] is None and not saga["attempts"]:
            advice.append("Nobody works on it yet: see that the control plane runs (cumulet status).")
        if saga["request_id"]:
            advice.append(f"Its story is in the logs under {saga['request_id']}.")
    return waiting, advice


def _time(seconds: float) -> str:
    return clock.iso_z(datetime.fromtimestamp(seconds, UTC))


def _link(cloud: Cloud, host: str) -> tuple[Body, list[str], list[str]]:
    if not host:
        return {}, [], []
    for info in cloud.hosts.connected():
        if info.name == host:
            since = _time(info.connected_at)
            return {"host": host, "joined": True, "since": since, "version": info.version}, [], []
    advice = f"Start the agent on {host}, or see in its log why it cannot join."
    return {"host": host, "joined": False}, [f"host {host} is not joined to the control plane"], [advice]
