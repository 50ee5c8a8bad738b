# SPDX-License-Identifier: Apache-2.0
"""Whose pages may open consoles."""

from __future__ import annotations

import pytest

from cumulet.kernel.errors import Forbidden
from cumulet.services.console.logic import origins

HOST = {"host": "cloud.example:8701"}


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({}, "http://cloud.example:8701"),  # a program
        ({"origin": "http://cloud.example:8701"}, "http://cloud.example:8701"),
        ({"origin": "http://cloud.example"}, "http://cloud.example:8701"),
        ({"origin": "http://horizon.example:8080"}, "http://cloud.example:8701"),
        ({"origin": "https://cloud.example"}, "https://cloud.example"),
        ({"origin": "http://cloud.example", "x-forwarded-proto": "https"}, "https://cloud.example"),
    ],
)
def test_who_may(headers: dict[str, str], base: str) -> None:
    origins.check({**HOST, **headers}, base, ["horizon.example"])


def test_an_address_of_the_sixth_version() -> None:
    headers = {"host": "[::1]:8701", "origin": "http://[::1]:8701"}
    origins.check(headers, "http://[::1]:8701", [])


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"origin": ""}, "not valid"),
        ({"origin": "null"}, "not valid"),
        ({"origin": "http://["}, "not valid"),
        ({"origin": "cloud.example"}, "not valid"),
        ({"origin": "http://elsewhere.example"}, "does not match this host"),
        ({"origin": "http://cloud.example.elsewhere.example"}, "does not match this host"),
        ({"origin": "http://cloud.example@elsewhere.example"}, "does not match this host"),
        ({"origin": "https://cloud.example"}, "protocol"),
        ({"origin": "http://cloud.example", "x-forwarded-proto": "https"}, "protocol"),
        ({"origin": "http://elsewhere.example", "host": "["}, "does not match this host"),
    ],
)
def test_who_may_not(headers: dict[str, str], words: str) -> None:
    with pytest.raises(Forbidden, match=words):
        origins.check({**HOST, **headers}, "http://cloud.example:8701", ["horizon.example"])
