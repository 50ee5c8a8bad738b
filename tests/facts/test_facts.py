# SPDX-License-Identifier: Apache-2.0
"""The facts hold no prose, and coverage counts what is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from facts import coverage
from facts.draft import KEPT

LONGEST = 1400  # characters: a pattern may be long


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield name
            yield from texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def words_of(schema: Any) -> Iterator[str]:
    """The keywords of a schema, not the names of properties."""
    if isinstance(schema, dict):
        for word, part in schema.items():
            yield word
            if word in ("properties", "patternProperties"):
                for inner in part.values():
                    yield from words_of(inner)
            elif word not in ("enum", "const", "required", "dependentRequired"):
                yield from words_of(part)
    elif isinstance(schema, list):
        for part in schema:
            yield from words_of(part)


@pytest.mark.parametrize("service", coverage.services())
def test_there_is_no_prose(service: str) -> None:
    for name, fact in coverage.facts(service).items():
        assert all(len(text) < LONGEST and text.count(" ") < 40 for text in texts(fact)), name
        for form in fact.get("bodies", ()):
            assert set(words_of(form["schema"])) <= KEPT, name


@pytest.mark.parametrize("service", coverage.SERVED)
def test_a_service_is_covered_in_part(service: str) -> None:
    found = coverage.cover(service)
    assert found.served
    assert found.operations == len(coverage.facts(service))


def test_what_only_refuses_does_not_count_as_served() -> None:
    assert "POST /servers/{}/action (rebuild)" not in coverage.cover("compute").missing
    assert "GET /os-hosts/{}/reboot" in coverage.cover("compute").refused
