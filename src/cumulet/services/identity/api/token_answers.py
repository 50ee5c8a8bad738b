# SPDX-License-Identifier: Apache-2.0
"""What was told of a token, told again to whoever asks the same once more while nothing has changed."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from cumulet.kernel import clock
from cumulet.kernel.context import Context
from cumulet.kernel.http import Reply, Request
from cumulet.services.identity.logic import revocations
from cumulet.services.identity.logic.memory import Memory
from cumulet.services.identity.types import Bearer

SUBJECT = "x-subject-token"
# With it a service says from which version on it heeds access rules.
ACCESS_RULES = "openstack-identity-access-rules"

_CALLER = "x-auth-token"
_CARRIER = "x-service-token"


class Bodies(Memory[tuple[str, bool], bytes]):
    """What there is to tell of a token, as JSON, by its text and whether the catalogue is left out."""

    MOST = 512


class _Told(NamedTuple):
    """An answer, to whom it was given, and until when and by which edition of the rules it may be."""

    body: bytes
    caller: Context
    until: float
    rules: int


class _Answers(Memory[tuple[str, ...], _Told]):
    MOST = 4096


def epoch(request: Request) -> int:
    """The epoch of identity in which the request is answered."""
    return revocations.epoch_now(request.cloud)


def reply(subject: str, body: bytes) -> Reply:
    return Reply(200, body, {"X-Subject-Token": subject})


def again(request: Request) -> Reply | None:
    """The answer that the same caller got to the same question; None where it has to be found out."""
    cloud = request.cloud
    if not _is_plain(request):
        return None
    told = cloud.keep(_Answers).find(request.once(epoch), _question(request))
    if told is None or told.until <= clock.now() or told.rules != cloud.policy(request.api.service).edition:
        return None
    request.ctx = msgspec.structs.replace(told.caller, request_id=request.request_id)
    return reply(request.headers[SUBJECT], told.body)


def remember(request: Request, bearer: Bearer, body: bytes) -> None:
    """Note what the caller, who may know, was told of the bearer's token."""
    if not _is_plain(request):
        return
    until = min(request.ctx.expires_at, bearer.token.expires_at)
    told = _Told(body, request.ctx, until, request.cloud.policy(request.api.service).edition)
    request.cloud.keep(_Answers).put(request.once(epoch), _question(request), told)


def _is_plain(request: Request) -> bool:
    """Whether the question may be answered from memory: the database is at hand, and no service carries the token."""
    return request.cloud.db.is_at_hand and _CARRIER not in request.headers


def _question(request: Request) -> tuple[str, ...]:
    said = request.headers
    return said.get(_CALLER, ""), said.get(SUBJECT, ""), request.query_string, said.get(ACCESS_RULES, "")
