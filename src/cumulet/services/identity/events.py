# SPDX-License-Identifier: Apache-2.0
"""Notifications under Keystone's names, in its two forms.

`basic` says what was changed, `cadf` also who did it, from where, and how it came out: an event of the Cloud Auditing
Data Federation (DMTF DSP0262, `http://schemas.dmtf.org/cloud/audit/1.0/`). Log-ins and grants have the second alone.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from cumulet.kernel import clock, ids

Operation = Literal["created", "updated", "deleted"]
Outcome = Literal["success", "failure"]
Payload = dict[str, Any]

LOG_IN = "identity.authenticate"
GRANT = "role_assignment"
LONGEST = 255  # characters of a caller's own words that are handed on: names, programs

_CADF = "http://schemas.dmtf.org/cloud/audit/1.0/"
_ACCOUNT = "service/security/account/user"
_OBSERVER = "service/security"
_FEDERATED = "http://docs.oasis-open.org/security/saml/v2.0"
_UNKNOWN = "unknown"
# What each kind of resource is to the Federation's taxonomy; `unknown` where nothing is said.
_TYPES = {
    "group": "data/security/group",
    "project": "data/security/project",
    "role": "data/security/role",
    "user": "data/security/account/user",
    "domain": "data/security/domain",
    "region": "data/security/region",
    "endpoint": "data/security/endpoint",
    "service": "data/security/service",
    "policy": "data/security/policy",
    "OS-TRUST:trust": "data/security/trust",
    "OS-OAUTH1:access_token": "data/security/credential",
    "OS-OAUTH1:request_token": "data/security/credential",
    "OS-OAUTH1:consumer": "data/security/account",
    "application_credential": "data/security/credential",
}
# In which Keystone makes ids of resources of names that are none.
_NAMESPACE = uuid.UUID("4332ecab-770b-4288-a680-b9aca3b1b153")


def topic(kind: str, operation: str) -> str:
    """The event type: `identity.user.created`."""
    return f"identity.{kind}.{operation}"


def basic(resource_id: str, initiator: Payload | None, member: Payload | None = None) -> Payload:
    """What the basic form says of a change; `member` (`membership`) of somebody who came into a group or left it."""
    who = initiator or {}
    names = ("request_id", "global_request_id")
    asked: Payload = {name: who[name] for name in names if name in who}
    return {"resource_info": resource_id, **(member or {}), **asked}


def membership(user_id: str, operation: Literal["added", "removed"]) -> Payload:
    """What the basic form of a group's change says of the member."""
    return {"actor_id": user_id, "actor_type": "user", "actor_operation": operation}


def change(
    kind: str, operation: Operation, resource_id: str, initiator: Payload | None, observer_id: str | None,
    reason: Payload | None = None,
) -> Payload:  # fmt: skip
    """What the form of the Federation says of a change."""
    target = {"id": resource_id, "typeURI": _TYPES.get(kind, _UNKNOWN)}
    event = _event(f"{operation}.{kind}", "success", initiator, target, observer_id, reason)
    return {**event, "resource_info": resource_id}


def grant(
    operation: Operation, outcome: Outcome, initiator: Payload | None, observer_id: str | None, said: Payload
) -> Payload:
    """A role given or taken back; `said` names role, actor and target (`role`, `user` or `group`, `project` or ...)."""
    return {**_event(f"{operation}.{GRANT}", outcome, initiator, _account(), observer_id, None), **said}


def log_in(
    outcome: Outcome, initiator: Payload, observer_id: str | None, reason: Payload | None = None, mark: str = ""
) -> Payload:
    """A log-in, or the try of one; `mark` is that of a wrong password."""
    event = _event("authenticate", outcome, initiator, _account(), observer_id, reason)
    attached = {"typeURI": "mime:text/plain", "name": "partial_password_hash", "content": mark}
    return {**event, "attachments": [attached]} if mark else event


def initiator(*, address: str, agent: str, user_id: str = "", name: str = "", **known: str) -> Payload:
    """Whoever caused an event; what is empty is left out. `known` are further fields, under Keystone's names."""
    host = {"address": address, "agent": agent[:LONGEST]}
    who: Payload = {"id": _id_of(user_id), "typeURI": _ACCOUNT, "host": host}
    named = {"user_id": user_id, "name": name, "username": name, **known}
    return {**who, **{field: value[:LONGEST] for field, value in named.items() if value}}


def federated(user_id: str, group_ids: Iterable[str], idp_id: str, audit_id: str = "") -> Payload:
    """The credential of somebody from elsewhere, with the name of the token brought, if any, made unreadable."""
    said = audit_id or _UNKNOWN
    shown = round(len(said) / 8)
    return {
        "type": _FEDERATED,
        "token": f"{said[:shown]} xxxxxxxx {said[-shown:]}",
        "identity_provider": idp_id,
        "user": user_id or _UNKNOWN,
        "groups": list(group_ids),
    }


def reason(words: str, status: int) -> Payload:
    """Why something came out as it did, in the words and with the status of the answer."""
    return {"reasonType": words, "reasonCode": str(status)}


def _event(
    action: str, outcome: Outcome, initiator: Payload | None, target: Payload, observer_id: str | None,
    why: Payload | None,
) -> Payload:  # fmt: skip
    event = {
        "typeURI": f"{_CADF}event",
        "eventType": "activity",
        "id": ids.new_uuid(),
        "eventTime": datetime.fromtimestamp(clock.now(), UTC).strftime("%Y-%m-%dT%H:%M:%S.%f%z"),
        "action": action,
        "outcome": outcome,
        "target": target,
        "observer": {"id": observer_id or ids.new_uuid(), "typeURI": _OBSERVER},
    }
    more = {"initiator": initiator, "reason": why}
    return {**event, **{name: value for name, value in more.items() if value is not None}}


def _account() -> Payload:
    """The target of what is done to no resource: some account, under an id that stands for nothing else."""
    return {"id": ids.new_uuid(), "typeURI": _ACCOUNT}


def _id_of(user_id: str) -> str:
    """An id that is a UUID, as the Federation asks for."""
    if not user_id:
        return ids.new_uuid()
    return user_id if ids.is_uuid(user_id) else uuid.uuid5(_NAMESPACE, user_id).hex
