# SPDX-License-Identifier: Apache-2.0
"""Carrying out an order: the keys are made and sealed first, then all that came of it commits at once."""

from __future__ import annotations

from cumulet.kernel.saga import Commit, Flow, Run, Step
from cumulet.services.key_manager.logic import orders


def make(run: Run) -> Commit | None:
    try:
        outcome = orders.work(run.cloud, run.subject)
    except orders.Refused as refused:
        status, reason = refused.code, refused.reason
        return lambda tx: orders.failed(tx, run.subject, status, reason)
    if outcome is None:
        return None
    return lambda tx: orders.done(tx, run.subject, outcome)


def failed(run: Run) -> Commit:
    return lambda tx: orders.failed(tx, run.subject, "500", orders.FAILED)


FLOW = Flow(orders.FLOW, (Step("make", make),), failed=failed)
