# SPDX-License-Identifier: Apache-2.0
"""Telling of log-ins: whose they were, from where they came, and why they were refused.

A refused log-in changes nothing, so its event is committed by itself. Anybody can have log-ins refused: each process
writes no more than MOST of these a second, and logs how many it has left out. Whatever is wrong with a proof, as much
is written, so that the time of an answer tells no more than its words.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError, NotFound, Unauthorized
from cumulet.services.identity import events
from cumulet.services.identity.logic import accounts, directories, wrong_passwords
from cumulet.services.identity.logic.news import Teller, by_somebody, tells_log_ins
from cumulet.services.identity.logic.proofs import Proven, find_user
from cumulet.services.identity.store import application_credentials, projects
from cumulet.services.identity.types import Project, User

LOG = logging.getLogger(__name__)

# Methods by which somebody says who they are themselves; Keystone tells of log-ins by these, and by `mapped`.
METHODS = frozenset({"password", "totp", "application_credential"})
SUCCEEDING = "password"  # the one of them of whose successes it tells
MOST = 50  # events a second of refused log-ins


class Budget:
    """How many refused log-ins may still be told of in this second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._second = 0
        self._told = 0

    def take(self) -> bool:
        """Whether one more may be told of."""
        second = int(time.monotonic())
        with self._lock:
            if second != self._second:
                left_out = self._told - MOST
                self._second, self._told = second, 0
                if left_out > 0:
                    LOG.warning("%d refused log-ins were not told of one by one", left_out)
            self._told += 1
            return self._told <= MOST


@contextmanager
def told(cloud: Cloud, method: str, words: Mapping[str, Any]) -> Iterator[None]:
    """Tell how a proof by one of the METHODS comes out; `words` are the caller's for the method."""
    try:
        yield
    except Unauthorized as error:
        if _may_tell(cloud):
            user, domain = _named(cloud, method, words)
            reason = _reason(cloud, words, user, domain, error)
            mark = _mark(cloud, method, words, user, domain) if reason is None else ""
            _tell(cloud, "failure", _who(words, user, domain), reason, mark)
        raise
    if method == SUCCEEDING and tells_log_ins(cloud, "success"):
        user, domain = _named(cloud, method, words)
        _tell(cloud, "success", _who(words, user, domain))


@contextmanager
def told_from_elsewhere(cloud: Cloud, idp_id: str) -> Iterator[list[Proven]]:
    """The same of somebody whom an identity provider has proven; the proof is to be put into the list."""
    proofs: list[Proven] = []
    try:
        yield proofs
    except CumuletError:
        if _may_tell(cloud):
            _tell(cloud, "failure", {**by_somebody(), "credential": events.federated("", (), idp_id)})
        raise
    if tells_log_ins(cloud, "success"):
        federation = proofs[0].federation
        user_id, group_ids = (proofs[0].user.id, federation.group_ids) if federation is not None else ("", ())
        _tell(cloud, "success", {**by_somebody(), "credential": events.federated(user_id, group_ids, idp_id)})


def tell_exchanged(cloud: Cloud, proven: Proven, audit_id: str) -> None:
    """Tell that somebody from elsewhere has exchanged a token, which `audit_id` names."""
    if proven.federation is not None and tells_log_ins(cloud, "success"):
        idp_id, group_ids = proven.federation.identity_provider_id, proven.federation.group_ids
        credential = events.federated(proven.user.id, group_ids, idp_id, audit_id)
        _tell(cloud, "success", {**by_somebody(), "credential": credential})


def _may_tell(cloud: Cloud) -> bool:
    return tells_log_ins(cloud, "failure") and cloud.keep(Budget).take()


def _tell(
    cloud: Cloud, outcome: events.Outcome, who: events.Payload, reason: events.Payload | None = None, mark: str = ""
) -> None:
    news = Teller(cloud)
    cloud.db.write(lambda tx: news.tell_log_in(tx, outcome, who, reason, mark))


def _mark(cloud: Cloud, method: str, words: Mapping[str, Any], user: User | None, domain: Project | None) -> str:
    """The mark of a password that was wrong, where the operator wants it; whoever is disabled may have been right."""
    said = words.get("user", {}).get("password")
    if method != "password" or not isinstance(said, str) or not wrong_passwords.is_wanted(cloud):
        return ""
    may_log_in = user is not None and domain is not None and domain.enabled and accounts.is_enabled(cloud, user)
    return wrong_passwords.mark(cloud, said) if may_log_in else ""


def _named(cloud: Cloud, method: str, words: Mapping[str, Any]) -> tuple[User | None, Project | None]:
    """The user whom the caller names and the user's domain, as far as they are there."""
    said = words.get("user", {})
    if method == "application_credential" and words.get("id"):
        credential = application_credentials.find(cloud.db, words["id"])
        said = {"id": credential.user_id} if credential is not None else {}
    try:
        user = find_user(cloud.db, said)
    except CumuletError:
        user = None
    if user is not None:
        return user, projects.find(cloud.db, user.domain_id)
    domain = said.get("domain", {})
    if domain.get("name"):
        return None, projects.find_by_name(cloud.db, domain["name"], None)
    return None, projects.find(cloud.db, domain["id"]) if domain.get("id") else None


def _who(words: Mapping[str, Any], user: User | None, domain: Project | None) -> events.Payload:
    if user is not None:
        return by_somebody(user_id=user.id, name=user.name)
    said = words.get("user", {})
    named = {"domain_id": domain.id, "domain_name": domain.name} if domain is not None else {}
    name = said.get("name") or ""
    return by_somebody(user_id="" if name else said.get("id") or "", user_name=name, **named)


def _reason(
    cloud: Cloud, words: Mapping[str, Any], user: User | None, domain: Project | None, error: Unauthorized
) -> events.Payload | None:
    """Why, where Keystone tells it: the user is not there, the account is locked, the password has expired."""
    if user is not None:
        if isinstance(error, accounts.Locked):
            return events.reason(f"The account is locked for user: {user.id}.", error.status)
        return events.reason(error.message, error.status) if isinstance(error, accounts.Expired) else None
    said = words.get("user", {})
    by_name, by_id = said.get("name"), said.get("id")
    is_elsewhere = by_name and (domain is None or directories.is_outside(cloud.db, domain.id))
    if is_elsewhere or not (by_name or by_id):
        return None
    return events.reason(f"Could not find user: {(by_name or by_id)[: events.LONGEST]}.", NotFound.status)
