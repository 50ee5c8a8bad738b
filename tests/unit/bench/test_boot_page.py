# SPDX-License-Identifier: Apache-2.0
"""The page of `bench.boot`: the least time of each phase, counted from the request and from QEMU's process on."""

from __future__ import annotations

from bench import boot

QUICK = {"answered": 0.02, "QEMU": 0.4, "ACTIVE": 0.6, "greeting": 4.4, "login": 6.4, "CPU": 3.0}
SLOW = {"answered": 0.01, "QEMU": 1.4, "ACTIVE": 1.5, "greeting": 5.4, "login": 9.4, "CPU": 4.0}


def test_each_phase_is_told_by_its_least_time() -> None:
    text = "\n".join(boot.page([QUICK, SLOW], [{"greeting": 4.5, "login": 6.0, "CPU": 3.5}]))
    assert "| the API has answered 202 | 0.01 |  |  |" in text
    assert "| the API says ACTIVE | 0.60 | 0.10 |  |" in text
    assert "| a command by SSH is done | 6.40 | 6.00 | 6.00 |" in text
    assert "| CPU seconds of QEMU until then | 3.00 | | 3.50 |" in text
