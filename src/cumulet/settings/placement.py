# SPDX-License-Identifier: Apache-2.0
"""Settings of placement."""

from __future__ import annotations

from typing import Literal

from cumulet.settings.base import Limit, Section


class Placement(Section, frozen=True, kw_only=True):
    """The search for candidates, under Placement's names and with its defaults.

    With `randomize_allocation_candidates` those that an answer has room for are any of those that were found, in any
    order. No more than `max_allocation_candidates` are looked for, -1: however many there are; breadth first, one of
    each tree before a second one of any. `incomplete_consumer_project_id` and `incomplete_consumer_user_id` stand for
    the project and the user that clients of API 1.7 and before do not name.
    """

    randomize_allocation_candidates: bool = False
    max_allocation_candidates: Limit = -1
    allocation_candidates_generation_strategy: Literal["depth-first", "breadth-first"] = "depth-first"
    incomplete_consumer_project_id: str = "00000000-0000-0000-0000-000000000000"
    incomplete_consumer_user_id: str = "00000000-0000-0000-0000-000000000000"
