# SPDX-License-Identifier: Apache-2.0
"""Routers that several hosts share, as a part of each apply."""

from __future__ import annotations

from cumulet.services.network.drivers.fabric.links import Links
from cumulet.services.network.drivers.fabric.stages import Run, Stage


class SharedRouters(Stage):
    """Takes the state's shared routers, and sees that they are fenced before they are plugged in."""

    def prepare(self, run: Run) -> None:
        try:
            self._ground.roles.take(run.state)
        except OSError as error:
            for router in run.state.routers:
                if router.ha is not None:
                    run.failed.setdefault(router.id, str(error))

    def plug(self, links: Links, run: Run) -> None:
        run.changes += self._ground.roles.guard(thorough=not run.known)
