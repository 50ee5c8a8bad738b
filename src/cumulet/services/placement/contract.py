# SPDX-License-Identifier: Apache-2.0
"""What other services may ask of placement, in the control plane (`PlacementContract`).

Providers, consumers, traits and aggregates are the same ones that the REST API shows. Resource classes and traits go
by name (`VCPU`, `MEMORY_MB` in MiB, `DISK_GB` in GiB, `HW_CPU_X86_VMX`); a `CUSTOM_` name that does not exist yet is
made by the verb that first sets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Protocol, TypeAlias

import msgspec

# The kernel's opaque transaction, and what a store can read from (a transaction or a snapshot).
Tx: TypeAlias = Any
Source: TypeAlias = Any

# Amounts by resource class: {"VCPU": 2, "MEMORY_MB": 512}.
Amounts: TypeAlias = Mapping[str, int]


class Inventory(msgspec.Struct, kw_only=True, frozen=True):
    """How much of one resource class a provider has, in the class's unit.

    What can be claimed in all is `(total - reserved) * allocation_ratio`, rounded down. One claim takes between
    `min_unit` and `max_unit` and a multiple of `step_size`; `max_unit` None means `total`.
    """

    total: int
    reserved: int = 0
    allocation_ratio: float = 1.0
    min_unit: int = 1
    max_unit: int | None = None
    step_size: int = 1


class RequestGroup(msgspec.Struct, kw_only=True, frozen=True):
    """A part of a request that one provider serves by itself: amounts by class, and the traits that it must have."""

    resources: dict[str, int]
    required: list[str] = []


class Candidate(msgspec.Struct, kw_only=True, frozen=True):
    """One way to satisfy a request: what to claim of which provider, in the form that `claim` takes.

    `root` is the provider at the top of the tree: for compute, the host. `mappings` tell which provider serves each
    group of the request.
    """

    root: str
    allocations: dict[str, dict[str, int]]
    mappings: dict[str, str] = {}


class Allocation(msgspec.Struct, kw_only=True, frozen=True):
    """What a consumer holds: amounts by provider and class. `generation` counts the changes."""

    consumer_id: str
    project_id: str
    user_id: str
    generation: int
    resources: dict[str, dict[str, int]]


class ProviderUsage(msgspec.Struct, kw_only=True, frozen=True):
    """Inventory and use of one class at one provider; `capacity` is what can be claimed in all, `used` what is."""

    inventory: Inventory
    capacity: int
    used: int


class Room(msgspec.Struct, frozen=True):
    """What of a class can be claimed of a provider in all, and how much of it is."""

    capacity: int
    used: int


class PlacementContract(Protocol):
    """All verbs are synchronous; those that take `tx` run inside the caller's commit.

    Errors are the kernel's: NotFound for a provider that is not there, Invalid for a class or trait that cannot be,
    Conflict for what the state forbids now.
    """

    def ensure_provider(self, tx: Tx, uuid: str, name: str, parent: str | None = None) -> None:
        """Make the provider exist under this name and below this parent (a provider's uuid). Idempotent.

        Raises Conflict where another provider has the name, NotFound where the parent is not there.
        """

    def delete_provider(self, tx: Tx, uuid: str) -> None:
        """Take the provider and its inventory away; nothing happens where there is none.

        Raises Conflict while something is claimed of it or it has children.
        """

    def provider_named(self, source: Source, name: str) -> str | None:
        """The uuid of the provider of this name."""

    def providers_below(self, source: Source, provider: str) -> dict[str, str]:
        """The names of all providers of the tree below this one, by their uuids."""

    def retire_provider(self, tx: Tx, uuid: str) -> bool:
        """Take away a provider of something that is gone; nothing happens where there is none.

        False where something is claimed of it, or it has children: it stays, and nothing more can be claimed of it.
        """

    def set_inventory(self, tx: Tx, provider: str, inventory: Mapping[str, Inventory]) -> None:
        """Replace the provider's whole inventory.

        An inventory may shrink below what is claimed of it (then nothing more can be); Conflict where a class of which
        something is claimed would vanish. Nothing is written, and the generation stays, where nothing differs.
        """

    def set_traits(self, tx: Tx, provider: str, traits: Iterable[str]) -> None:
        """Replace the provider's traits. Raises Invalid for a name that is neither standard nor `CUSTOM_`."""

    def is_standard_trait(self, name: str) -> bool:
        """Whether OpenStack has given this name to a trait, the same in every cloud."""

    def is_standard_class(self, name: str) -> bool:
        """The same of a resource class."""

    def set_aggregates(self, tx: Tx, provider: str, aggregates: Iterable[str]) -> None:
        """Replace the aggregates (UUIDs) that the provider is a member of."""

    def candidates(
        self,
        source: Source,
        resources: Amounts,
        *,
        required: Iterable[str] = (),
        forbidden: Iterable[str] = (),
        member_of: Iterable[Iterable[str]] = (),
        in_tree: str | None = None,
        limit: int | None = None,
        groups: Mapping[str, RequestGroup] = MappingProxyType({}),
        same_subtrees: Iterable[Iterable[str]] = (),
    ) -> list[Candidate]:
        """Where `resources`, and each of the `groups`, could be claimed now, in the order of the roots' names.

        All of `required` and none of `forbidden` must be found among the traits of the providers that would be claimed
        of; each set in `member_of` must hold an aggregate of them. `in_tree` limits the search to one provider's tree.
        At most `limit` candidates. A class that does not exist is had nowhere: no candidates. What is said of traits
        and aggregates is not said of the groups, which are in the same tree; each of `same_subtrees` names some of
        them, one of whose providers must be the others' or above them.
        """

    def claim(
        self,
        tx: Tx,
        consumer_id: str,
        allocations: Mapping[str, Amounts],
        project_id: str,
        user_id: str,
        consumer_type: str = "INSTANCE",
    ) -> None:
        """Let the consumer hold exactly these amounts by provider, instead of whatever it held. Idempotent.

        Checked against all other claims within `tx`: Conflict where there is no room at this very moment or an amount
        breaks an inventory's units; NotFound where a provider is gone.
        """

    def add_to_claim(self, tx: Tx, consumer_id: str, more: Mapping[str, Amounts]) -> None:
        """Let the consumer hold so much more of these providers, or less where amounts are negative.

        Errors as of `claim`; NotFound where the consumer holds nothing, or nothing of a provider of which it is to hold
        less.
        """

    def release(self, tx: Tx, consumer_id: str) -> None:
        """The consumer holds nothing any more. Idempotent."""

    def allocation(self, source: Source, consumer_id: str) -> Allocation | None:
        """What the consumer holds, or None."""

    def consumers(self, source: Source, provider: str, consumer_type: str) -> list[str]:
        """Who of this type holds anything of the provider."""

    def provider_usage(self, source: Source, provider: str) -> dict[str, ProviderUsage]:
        """Inventory and use of one provider by class. Raises NotFound."""

    def room(self, source: Source, providers: Iterable[str]) -> dict[str, dict[str, Room]]:
        """What can be claimed of each of these providers, by class; those that are not there are left out.

        From memory: cheap for thousands. Not for a transaction that has changed it.
        """

    def project_usage(self, source: Source, project_id: str, user_id: str | None = None) -> dict[str, int]:
        """What the consumers of a project (and user) hold in all, by class."""
