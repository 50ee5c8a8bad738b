# SPDX-License-Identifier: Apache-2.0
"""Requests that a token is limited to: paths with variables, one service, one method."""

from __future__ import annotations

import pytest

from cumulet.kernel.allowance import Allowance, allows


@pytest.mark.parametrize(
    ("path", "fits", "does_not"),
    [
        ("/v2.1/servers", ["/v2.1/servers"], ["/v2.1/servers/1", "/v2x1/servers", "/v2.1/servers/", "/x/v2.1/servers"]),
        ("/v2.1/servers/{server_id}", ["/v2.1/servers/1"], ["/v2.1/servers/", "/v2.1/servers/1/2", "/v2.1/servers"]),
        ("/v2.1/*/1", ["/v2.1/servers/1"], ["/v2.1/a/b/1", "/v2.1//1"]),
        ("/v2.1/**", ["/v2.1/", "/v2.1/a/b", "/v2.1/a\nb"], ["/v2.1", "/v2"]),
        ("/a.b/[x]+", ["/a.b/[x]+"], ["/a.b/x", "/aab/[x]+"]),
        ("/{open", ["/{open"], ["/x"]),
    ],
)
def test_paths(path: str, fits: list[str], does_not: list[str]) -> None:
    only = [Allowance("compute", "GET", path)]
    assert all(allows(only, {"compute"}, "GET", [one]) for one in fits)
    assert not any(allows(only, {"compute"}, "GET", [one]) for one in does_not)


def test_one_service_and_one_method() -> None:
    only = [Allowance("compute", "GET", "/")]
    assert allows(only, {"x", "compute"}, "GET", ["/other", "/"])
    assert not allows(only, {"image"}, "GET", ["/"])
    assert not allows(only, {"compute"}, "HEAD", ["/"])
    assert not allows([], {"compute"}, "GET", ["/"])
