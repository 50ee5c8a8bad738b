# SPDX-License-Identifier: Apache-2.0
"""What a disk without room is called, whoever notices it: an outcome of the work, which waiting does not change."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from cumulet.kernel.blob import StorageFull
from cumulet.services.block_storage.types import NO_ROOM

_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def no_room() -> StorageFull:
    return StorageFull("There is no room for the volume.", code=NO_ROOM)


@contextmanager
def room() -> Iterator[None]:
    """Work that writes to the disk; raises StorageFull (`NO_ROOM`) where that is full."""
    try:
        yield
    except OSError as error:
        if error.errno in _ERRORS:
            raise no_room() from error
        raise
