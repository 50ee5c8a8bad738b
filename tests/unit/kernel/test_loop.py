# SPDX-License-Identifier: Apache-2.0
"""A loop ends whatever is on it."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from cumulet.kernel import loop as module
from cumulet.kernel.loop import Loop


class Stuck:
    """A loop that does not come to the end of `close`."""

    def __init__(self, it: Any) -> None:
        self.it, self.begun, self.goes_on = it, threading.Event(), threading.Event()

    def close(self) -> None:
        self.begun.set()
        self.goes_on.wait()
        self.it.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.it, name)


def test_whoever_ends_a_loop_that_is_stuck_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLOSE_TIMEOUT", 0.2)
    loop = Loop()
    stuck = Stuck(loop.asyncio)
    loop.asyncio = stuck  # type: ignore[assignment]
    loop.close()
    assert stuck.begun.is_set()
    stuck.goes_on.set()
