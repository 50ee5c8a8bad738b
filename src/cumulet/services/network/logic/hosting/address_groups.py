# SPDX-License-Identifier: Apache-2.0
"""The address groups that rules of a host's ports name; `compile` makes rules of their addresses."""

from __future__ import annotations

from collections.abc import Mapping

from cumulet.kernel.db import Source
from cumulet.services.network.logic.hosting.base import Concern, Feature, Snapshot
from cumulet.services.network.store import address_groups, common, lookups
from cumulet.services.network.types.address_groups import AddressGroup


def _concern(source: Source, keys: set[str]) -> set[str]:
    return lookups.hosts_of_members(source, address_groups.groups_admitting(source, keys))


class AddressGroups(Feature):
    """Under `address_groups`: their addresses by id."""

    concerns: Mapping[type, Concern] = {AddressGroup: _concern}

    def take(self, source: Source, rows: Snapshot) -> None:
        rules = (rule for listed in rows.rules.values() for rule in listed)
        named = {rule.remote_address_group_id for rule in rules if rule.remote_address_group_id is not None}
        if named:
            found = common.by_id(source, AddressGroup, named)
            rows.more["address_groups"] = {key: group.addresses for key, group in found.items()}
