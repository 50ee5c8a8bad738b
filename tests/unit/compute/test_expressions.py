# SPDX-License-Identifier: Apache-2.0
"""Regular expressions that cannot hold up the cloud find what Python's find."""

from __future__ import annotations

import re
import time

import pytest

from cumulet.services.compute.logic import expressions

TEXTS = [
    "",
    "a",
    "b",
    "ab",
    "aab",
    "abc-instance-12",
    "tempest-instance-7",
    "x.y",
    "a]b",
    "A_1 z",
    "aaaa",
    "caab",
    "^$",
]
PATTERNS = [
    "", "a", "^a", "b$", "^$", "a.b", "a*b", "a+b", "^a?b$", "a{2}", "a{2,}", "^a{1,2}b", "a{,3}b", "[abc]+$", "[^a]",
    "[]a]+b", "[a-c]{2}", r"^.*\-instance-[0-9]+$", r"^.*\-instance-.*$", r"\d+", r"\D", r"\w \w", r"\s", r"x\.y",
    "a|b", "^(a|b)+$", "^(?:ab|c)*", "(a(b|c))+", "a??b", "(|a)b", r"[\d-]+$", "[a-]", "(a*)*b", r"\^\$",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_it_finds_what_python_finds(pattern):
    found = expressions.search(pattern)
    assert [found(text) for text in TEXTS] == [re.search(pattern, text) is not None for text in TEXTS]


@pytest.mark.parametrize(
    "pattern", [r"(a)\1", "(?=a)", "(?<name>a)", "a{1000}", "(a{200}){200}", "(", "[", "*", "a{2,1}", r"\b"]
)
def test_what_it_cannot_say(pattern):
    with pytest.raises(expressions.Unsayable):
        expressions.search(pattern)


def test_it_takes_no_longer_for_being_hostile():
    found, began = expressions.search("^(a*)*(a*)*(a*)*b$"), time.process_time()
    assert not found("a" * 255)
    assert time.process_time() - began < 5
