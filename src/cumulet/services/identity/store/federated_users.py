# SPDX-License-Identifier: Apache-2.0
"""Who users are to identity providers, and the groups that these put them into for a while, in the database."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import ColumnElement, delete, or_, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.identity.tables import (
    expiring_membership,
    federated_user,
    password,
    spent_assertion,
)
from cumulet.services.identity.types import ExpiringMembership, FederatedUser, SpentAssertion


def find(source: Source, idp_id: str, protocol_id: str, unique_id: str) -> FederatedUser | None:
    equal = {"idp_id": idp_id, "protocol_id": protocol_id, "unique_id": unique_id}
    return sql.find(source, federated_user, FederatedUser, **equal)


def of_user(source: Source, user_id: str) -> list[FederatedUser]:
    """Who a user is to all identity providers."""
    query = select(federated_user).where(federated_user.c.user_id == user_id)
    return sql.rows(source, query.order_by(federated_user.c.idp_id, federated_user.c.protocol_id), FederatedUser)


def only_known_by(source: Source, idp_id: str, protocol_id: str | None = None) -> list[str]:
    """The ids of users who could log in by this provider (and protocol), and in no other way."""
    here = federated_user.c.idp_id == idp_id
    elsewhere = federated_user.c.idp_id != idp_id
    if protocol_id is not None:
        here &= federated_user.c.protocol_id == protocol_id
        elsewhere = or_(elsewhere, federated_user.c.protocol_id != protocol_id)
    others = select(federated_user.c.user_id).where(elsewhere)
    query = select(federated_user.c.user_id).where(
        here, federated_user.c.user_id.not_in(others), federated_user.c.user_id.not_in(select(password.c.user_id))
    )
    return sql.column(source, query.distinct())


def add(tx: Tx, new: FederatedUser) -> None:
    sql.add(tx, federated_user, new)


def rename(tx: Tx, known: FederatedUser, display_name: str) -> None:
    sql.execute(tx, update(federated_user).where(_same(known)).values(display_name=display_name))


def forget_protocol(tx: Tx, idp_id: str, protocol_id: str) -> None:
    """Forget whom a protocol let in."""
    here = (federated_user.c.idp_id == idp_id) & (federated_user.c.protocol_id == protocol_id)
    sql.execute(tx, delete(federated_user).where(here))


def memberships(source: Source, user_id: str) -> list[ExpiringMembership]:
    """The groups that log-ins have put a user into."""
    query = select(expiring_membership).where(expiring_membership.c.user_id == user_id)
    return sql.rows(source, query.order_by(expiring_membership.c.group_id), ExpiringMembership)


def set_memberships(tx: Tx, user_id: str, idp_id: str, group_ids: Iterable[str], ends: datetime) -> bool:
    """Make these the groups that `idp_id` has put a user into until `ends`; whether they are others than before."""
    here = (expiring_membership.c.user_id == user_id) & (expiring_membership.c.idp_id == idp_id)
    before = set(sql.column(tx, select(expiring_membership.c.group_id).where(here)))
    wanted = set(group_ids)
    sql.execute(tx, delete(expiring_membership).where(here))
    sql.add(tx, expiring_membership, *(ExpiringMembership(user_id, one, idp_id, ends) for one in sorted(wanted)))
    return before != wanted


def lapsed(source: Source, now: datetime) -> bool:
    """Whether some membership has ended."""
    query = select(expiring_membership.c.user_id).where(expiring_membership.c.expires_at <= now).limit(1)
    return sql.scalar(source, query) is not None


def end_memberships(tx: Tx, now: datetime) -> None:
    sql.execute(tx, delete(expiring_membership).where(expiring_membership.c.expires_at <= now))


def spend(tx: Tx, new: SpentAssertion, now: datetime) -> bool:
    """Keep in mind that an assertion was used; False where it was used before. What has expired is forgotten."""
    sql.execute(tx, delete(spent_assertion).where(spent_assertion.c.expires_at < now))
    if sql.scalar(tx, select(spent_assertion.c.id).where(spent_assertion.c.id == new.id)) is not None:
        return False
    sql.add(tx, spent_assertion, new)
    return True


def _same(known: FederatedUser) -> ColumnElement[bool]:
    return (
        (federated_user.c.idp_id == known.idp_id)
        & (federated_user.c.protocol_id == known.protocol_id)
        & (federated_user.c.unique_id == known.unique_id)
    )
