# SPDX-License-Identifier: Apache-2.0
"""Custom traits in the database, and which provider has which trait, custom or standard."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, exists, select

from cumulet.kernel.db import Source, Tx, sql
from cumulet.services.placement.tables import provider_trait, trait
from cumulet.services.placement.types import ProviderTrait, Trait


def find(source: Source, name: str) -> Trait | None:
    return sql.find(source, trait, Trait, name=name)


def find_some(source: Source, names: Iterable[str]) -> list[Trait]:
    return sql.rows(source, select(trait).where(sql.any_of(trait.c.name, names)), Trait)


def find_all(source: Source) -> list[Trait]:
    return sql.rows(source, select(trait).order_by(trait.c.name), Trait)


def find_associated(source: Source) -> set[str]:
    """The names of all traits that any provider has."""
    return set(sql.column(source, select(provider_trait.c.trait).distinct()))


def is_associated(source: Source, name: str) -> bool:
    return bool(sql.scalar(source, select(exists().where(provider_trait.c.trait == name))))


def of_providers(source: Source, providers: Iterable[str]) -> list[ProviderTrait]:
    query = select(provider_trait).where(sql.any_of(provider_trait.c.provider_uuid, providers))
    return sql.rows(source, query.order_by(provider_trait.c.trait), ProviderTrait)


def add(tx: Tx, *new: Trait) -> None:
    sql.add(tx, trait, *new)


def remove(tx: Tx, name: str) -> None:
    sql.execute(tx, delete(trait).where(trait.c.name == name))


def associate(tx: Tx, provider: str, names: Iterable[str]) -> None:
    sql.add(tx, provider_trait, *(ProviderTrait(provider, name) for name in names))


def dissociate(tx: Tx, provider: str, names: Iterable[str]) -> None:
    where = (provider_trait.c.provider_uuid == provider, sql.any_of(provider_trait.c.trait, names))
    sql.execute(tx, delete(provider_trait).where(*where))
