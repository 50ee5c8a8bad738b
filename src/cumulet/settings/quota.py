# SPDX-License-Identifier: Apache-2.0
"""Settings of what projects may have of compute."""

from __future__ import annotations

from typing import Literal

from cumulet.settings.base import Section


class Quota(Section, frozen=True, kw_only=True):
    """Which limits compute holds projects to, under Nova's names.

    The driver `database` goes by compute's own quotas, `unified` by the limits that the identity service keeps. A
    resource without a registered limit may then not be used at all where the strategy is `require` and the list has
    its name, or where it is `ignore` and the list has not.
    """

    driver: Literal["database", "unified"] = "database"
    unified_limits_resource_strategy: Literal["require", "ignore"] = "require"
    unified_limits_resource_list: tuple[str, ...] = ("servers",)
