# SPDX-License-Identifier: Apache-2.0
"""Object stores whose features are tested: on devices in memory, with the settings of the test."""

from __future__ import annotations

from contextlib import contextmanager

from cumulet.services.object_store.api.site import Options
from cumulet.services.object_store.types import stamps
from cumulet.services.object_store.types.indexes import Key, Listing
from support.object_store import ACCOUNT, serving


def settle(found, account=ACCOUNT):
    """Have the account know what its containers hold, as the updater does."""

    async def tell():
        _, containers = await found.engine.list_containers(Key(account), Listing())
        for name, *_ in containers:
            info = await found.engine.info(Key(account, name), newest=True)
            await found.engine.indexes.tell_account(account, info.report(stamps.now()))

    found.run(tell)


@contextmanager
def store(limits=None, rules=None, **filters):
    """The settings of filters by their names."""
    more = {name: filters.pop(name) for name in [each for each in filters if each in Options.__struct_fields__]}
    with serving(options=Options(filters=filters, **more), limits=limits, rules=rules) as found:
        yield found
