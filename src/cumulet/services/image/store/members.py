# SPDX-License-Identifier: Apache-2.0
"""Members of images in the database."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select, update

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.image.tables import member
from cumulet.services.image.types import Member, MemberStatus


def find(source: Source, image_id: str, member_id: str) -> Member | None:
    return sql.find(source, member, Member, image_id=image_id, member_id=member_id)


def find_all(source: Source, image_id: str) -> list[Member]:
    query = select(member).where(member.c.image_id == image_id).order_by(member.c.created_at, member.c.member_id)
    return sql.rows(source, query, Member)


def images_of(source: Source, image_ids: list[str], member_id: str) -> set[str]:
    """Which of the images have the member."""
    query = select(member.c.image_id).where(sql.any_of(member.c.image_id, image_ids), member.c.member_id == member_id)
    return set(sql.column(source, query))


def count(source: Source, image_id: str) -> int:
    return int(sql.scalar(source, select(func.count()).where(member.c.image_id == image_id)))


def add(tx: Tx, new: Member) -> None:
    sql.add(tx, member, new)


def set_status(tx: Tx, image_id: str, member_id: str, status: MemberStatus, when: datetime) -> None:
    where = (member.c.image_id == image_id) & (member.c.member_id == member_id)
    sql.execute(tx, update(member).where(where).values(status=status, updated_at=when))


def remove(tx: Tx, image_id: str, member_id: str) -> None:
    sql.execute(tx, delete(member).where(member.c.image_id == image_id, member.c.member_id == member_id))
