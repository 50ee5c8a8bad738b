# SPDX-License-Identifier: Apache-2.0
"""The one way in which tests wait: asking until the answer is true."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from typing import TypeVar

from cumulet.kernel.errors import NotReady

T = TypeVar("T")

PATIENCE = 60.0  # seconds: a busy machine may take a hundred times what an idle one does


def until(ask: Callable[[], T], seconds: float = PATIENCE, every: float = 0.02) -> T:
    """Ask every so often; the first answer that is true. AssertionError, with the question, after `seconds`."""
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, f"in {seconds:g} s it did not come true: {inspect.getsource(ask).strip()}"
        time.sleep(every)
    return answer


def when_ready(ask: Callable[[], T], seconds: float = PATIENCE, every: float = 0.1) -> T:
    """What is answered once the answer is not NotReady, as the control plane asks; NotReady after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except NotReady:
            if time.monotonic() > end:
                raise
        time.sleep(every)
