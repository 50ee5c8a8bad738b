# SPDX-License-Identifier: Apache-2.0
"""The rows of the placement service: the one definition of each resource. Standard traits and classes are no rows."""

from __future__ import annotations

from datetime import datetime

import msgspec

MAX_INT = 0x7FFFFFFF  # no inventory holds more, and its default `max_unit`
SHARING = "MISC_SHARES_VIA_AGGREGATE"  # a provider with this trait serves all trees that it shares an aggregate with
UNKNOWN_TYPE = "unknown"  # what the API shows of a consumer without a type


class Provider(msgspec.Struct, frozen=True):
    """Something that has resources. Providers form trees; `root_uuid` of a tree's top is its own uuid.

    `generation` grows with each change of what the provider has or who holds it.
    """

    uuid: str
    name: str
    generation: int
    parent_uuid: str | None
    root_uuid: str
    created_at: datetime
    updated_at: datetime | None


class Inventory(msgspec.Struct, frozen=True):
    """How much of a resource class a provider has; the fields mean what they mean in `contract.Inventory`."""

    provider_uuid: str
    resource_class: str
    total: int
    reserved: int
    min_unit: int
    max_unit: int
    step_size: int
    allocation_ratio: float
    created_at: datetime
    updated_at: datetime | None

    @property
    def capacity(self) -> int:
        """What can be claimed in all."""
        return int((self.total - self.reserved) * self.allocation_ratio)

    def permits(self, amount: int) -> bool:
        """Whether one claim may be of `amount`, room left aside."""
        return self.min_unit <= amount <= self.max_unit and amount % self.step_size == 0


class Trait(msgspec.Struct, frozen=True):
    """A custom trait: a quality that a provider has or has not."""

    name: str
    created_at: datetime


class ResourceClass(msgspec.Struct, frozen=True):
    """A custom resource class: a kind of thing that can be claimed."""

    name: str
    created_at: datetime


class ProviderTrait(msgspec.Struct, frozen=True):
    """A provider has a trait."""

    provider_uuid: str
    trait: str


class ProviderAggregate(msgspec.Struct, frozen=True):
    """A provider is a member of an aggregate, which is nothing but its uuid."""

    provider_uuid: str
    aggregate_uuid: str


class Consumer(msgspec.Struct, frozen=True):
    """Somebody who holds resources: a server, for example. It exists as long as it holds any."""

    uuid: str
    project_id: str
    user_id: str
    type: str | None
    generation: int
    created_at: datetime
    updated_at: datetime | None


class Allocation(msgspec.Struct, frozen=True):
    """A consumer holds `used` units of one class of one provider."""

    consumer_uuid: str
    provider_uuid: str
    resource_class: str
    used: int
    created_at: datetime


class Change(msgspec.Struct, frozen=True):
    """Something was written of a provider, last in the transaction `number`; triggers write it, nobody else.

    It outlives the provider, by a day at least, so that whoever knew of the provider hears of its end.
    """

    provider_uuid: str
    number: int
