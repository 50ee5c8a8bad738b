# SPDX-License-Identifier: Apache-2.0
"""`qemu-img`, whose complaints become the kernel's errors, and disks as it is told of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from cumulet.kernel.errors import NotReady
from cumulet.kernel.run import Arg, CommandFailed, run
from cumulet.services.block_storage.contract import DiskSource, NetworkSource
from cumulet.services.block_storage.drivers.base import IS_LOCKED
from cumulet.services.block_storage.drivers.nodes import node, objects
from cumulet.services.block_storage.drivers.room import no_room

COPY_TIME = 3600.0  # seconds that a copy may take


class Node(NamedTuple):
    """A disk in QEMU's words, and what the tool has to be told beside them to open it."""

    words: dict[str, Any]
    objects: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """How the tool is told of it."""
        return f"json:{json.dumps(self.words)}"


def told(source: DiskSource | NetworkSource) -> Node:
    """A disk that this host opens by itself, or one that another host exports."""
    if not isinstance(source, NetworkSource):
        return Node(node(source), tuple(word for each in objects(source) for word in ("--object", json.dumps(each))))
    remote, folder = source.remote, str(source.credentials).replace(",", ",,")
    words = {
        "driver": "nbd",
        "server": {"type": "inet", "host": remote.address, "port": str(remote.port)},
        "export": remote.export,
        "tls-creds": "tls",
        "tls-hostname": remote.server,
    }
    # Hosts' certificates are for both ends: QEMU's own checks ask for more, the peer is verified all the same.
    secret = f"tls-creds-x509,id=tls,endpoint=client,verify-peer=on,sanity-check=off,dir={folder}"
    return Node(words, ("--object", secret))


def qemu_img(*words: Arg, timeout: float = 60.0, pass_fds: Sequence[int] = ()) -> bytes:
    """What it says. NotReady for a disk that is open, StorageFull where there is no room, else CommandFailed."""
    try:
        return run(["qemu-img", *words], timeout=timeout, pass_fds=pass_fds).stdout
    except CommandFailed as failure:
        if IS_LOCKED in failure.output:
            raise NotReady("The disk is open somewhere else.") from failure
        if "No space left" in failure.output:
            raise no_room() from failure
        raise
