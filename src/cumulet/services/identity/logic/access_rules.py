# SPDX-License-Identifier: Apache-2.0
"""The requests that application credentials may be limited to. A user's rules of the same words are one rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, NotFound
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.logic.scopes import lacks
from cumulet.services.identity.store import access_rules as store
from cumulet.services.identity.store import application_credentials
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import AccessRule

WORDS = ("service", "path", "method")


def get(source: Source, rule_id: str, user_id: str) -> AccessRule:
    found = store.find(source, rule_id)
    if found is None or found.user_id != user_id:
        raise _missing(rule_id)
    return found


def of_user(source: Source, user_id: str, filters: Iterable[Filter] = ()) -> list[AccessRule]:
    return store.of_user(source, user_id, filters)


def named(source: Source, rule_ids: Iterable[str]) -> list[AccessRule]:
    return store.find_these(source, rule_ids)


def find_or_make(tx: Tx, user_id: str, said: Iterable[Mapping[str, str]]) -> list[str]:
    """The ids of the user's rules that `said` names by id or by words; those not there yet are made."""
    found = dict.fromkeys(_one(tx, user_id, words) for words in said)
    return list(found)


def delete(cloud: Cloud, rule_id: str, user_id: str) -> None:
    """Remove a rule; Forbidden while an application credential is limited to it."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        get(tx, rule_id, user_id)
        tx.lock(_lock(user_id))
        if any(rule_id in (one.access_rule_ids or ()) for one in application_credentials.of_user(tx, user_id)):
            raise Forbidden("May not delete access rule in use")
        store.remove(tx, rule_id)
        news.tell(tx, "access_rule", "deleted", rule_id)

    cloud.db.write(write)


def _one(tx: Tx, user_id: str, words: Mapping[str, str]) -> str:
    tx.lock(_lock(user_id))
    if "id" in words:
        known = store.find(tx, words["id"])
        if known is not None and known.user_id == user_id:
            return known.id
        if known is not None or not set(WORDS) <= words.keys():
            raise _missing(words["id"])
    for name in WORDS:
        if name not in words:
            raise lacks(name, "access_rule")
    new = AccessRule(words.get("id") or ids.new_hex(), user_id, *(words[name] for name in WORDS))
    alike = store.find_alike(tx, new)
    if alike is not None:
        return alike.id
    store.add(tx, new)
    return new.id


def _lock(user_id: str) -> str:
    return f"identity:access_rules:{user_id}"


def _missing(rule_id: str) -> NotFound:
    return NotFound(f"Could not find Access Rule: {rule_id}.", code="AccessRuleNotFound")
