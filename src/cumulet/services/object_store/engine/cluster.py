# SPDX-License-Identifier: Apache-2.0
"""The store: what rings and opened devices are together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cumulet.services.object_store.engine.asking import Asker, Patience
from cumulet.services.object_store.engine.base import Policy
from cumulet.services.object_store.engine.behind import Behind
from cumulet.services.object_store.engine.by_policy import ByPolicy, EveryObject
from cumulet.services.object_store.engine.coded.coder import coder_for
from cumulet.services.object_store.engine.coded.objects import CodedObjects
from cumulet.services.object_store.engine.coded.rebuilding import Rebuilder
from cumulet.services.object_store.engine.coded.state import Coding
from cumulet.services.object_store.engine.indexes import Indexes
from cumulet.services.object_store.engine.jobs.deletions import Deletions
from cumulet.services.object_store.engine.moving import Mender
from cumulet.services.object_store.engine.objects import Objects
from cumulet.services.object_store.engine.paying import Payer
from cumulet.services.object_store.engine.places import Node, Places, Rings, Where
from cumulet.services.object_store.engine.recent import Recent


class Cluster:
    """`Engine` on `devices`, which whoever opened them closes after it.

    Made and used on one running event loop. `policies` are by number, one of them the default. Invalid for one whose
    erasure code cannot be had.
    """

    def __init__(
        self,
        policies: Sequence[Policy],
        rings: Rings,
        devices: Mapping[Where, Node],
        *,
        patience: Patience | None = None,
        recent: Recent | None = None,
    ) -> None:
        self.policies = tuple(policies)
        self.asker = Asker(patience or Patience(), Behind(devices.values()))
        self.places = Places(rings, devices, self.asker.avoids)
        self._payer = Payer(self.asker.patience.answer)
        default = next(each.number for each in self.policies if each.default)
        self.indexes = Indexes(self.places, self.asker, recent or Recent(), default)
        codings = {
            each.number: Coding(coder_for(each.scheme), self.places, self.asker)
            for each in self.policies
            if each.scheme is not None
        }
        self.rebuilder = Rebuilder(self.places, self.asker, codings) if codings else None
        mend = dict.fromkeys(codings, self.rebuilder.mend) if self.rebuilder is not None else {}
        self.mender = Mender(self.places, self.asker, mend)
        self.objects: EveryObject = Objects(self.places, self.asker, self.indexes, self._payer, self.mender)
        if codings:
            coded = CodedObjects(self.places, self.asker, self.indexes, self._payer, self.mender, codings)
            self.objects = ByPolicy(self.objects, coded, codings)
        self.info, self.put, self.delete = self.indexes.info, self.indexes.put, self.indexes.delete
        self.set_metadata = self.indexes.set_metadata
        self.list_objects, self.list_containers = self.indexes.list_objects, self.indexes.list_containers
        self.head, self.read, self.write = self.objects.head, self.objects.read, self.objects.write
        self.post, self.remove = self.objects.post, self.objects.remove
        self.delete_later = Deletions(self.indexes).later

    async def flush(self) -> None:
        """Have devices told all that they do not owe any more."""
        await self._payer.flush()

    async def close(self) -> None:
        await self.asker.close()
        await self._payer.flush()
