# SPDX-License-Identifier: Apache-2.0
"""What tokens were found to stand for, remembered until the epoch grows."""

from __future__ import annotations

import threading
from collections import OrderedDict

from cumulet.kernel import clock
from cumulet.services.identity.types import Bearer

REMEMBERED = 4096  # tokens


class Memory:
    """Bearers by the text of their token, all of one epoch; safe in any thread."""

    def __init__(self) -> None:
        self._epoch = -1
        self._known: OrderedDict[str, Bearer] = OrderedDict()
        self._lock = threading.Lock()

    def find(self, epoch: int, text: str) -> Bearer | None:
        """What `text` stands for, where that was found out in `epoch` and the token has not expired since."""
        with self._lock:
            if epoch != self._epoch:
                self._known.clear()
                self._epoch = epoch
            known = self._known.get(text)
        return known if known is not None and known.token.expires_at > clock.now() else None

    def put(self, epoch: int, text: str, bearer: Bearer) -> None:
        """Remember what was concluded from reads that began in `epoch`."""
        with self._lock:
            if epoch == self._epoch:
                self._known[text] = bearer
                if len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
