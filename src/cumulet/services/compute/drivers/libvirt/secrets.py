# SPDX-License-Identifier: Apache-2.0
"""The secrets by which libvirt opens volumes over iSCSI, and encrypted ones: its daemon knows each for the moment of an
opening.

They are private (nobody can ask the daemon for them) and ephemeral (it writes them nowhere); QEMU is given each sealed,
and keeps it for when its connection breaks. A domain names its secrets by numbers that follow from the server and the
volume, so that one whose memory was kept finds them again, and what an agent that was killed meanwhile has told is
forgotten after the next opening, or with the daemon.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from cumulet.kernel.errors import NotReady
from cumulet.services.block_storage.contract import NetworkSource
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.libvirt.connection import Connection
from cumulet.services.compute.drivers.libvirt.library import LibvirtError, call
from cumulet.services.compute.drivers.libvirt.words import Element, element, write

_NAMES = uuid.UUID("6f2c1d0e-3a57-4d0b-9b53-6f1f0e6a7c11")


def number_of(server_id: str, volume_id: str) -> str:
    """The number of the secret by which the server opens the volume's target."""
    return str(uuid.uuid5(_NAMES, f"{server_id}/{volume_id}"))


def key_of(server_id: str, volume_id: str) -> str:
    """The number of the secret by which it opens the container that the volume is."""
    return str(uuid.uuid5(_NAMES, f"{server_id}/{volume_id}/key"))


def source_of(disk: Disk) -> NetworkSource | None:
    """Where a volume is opened over iSCSI, None for any other."""
    found = disk.source
    return found if isinstance(found, NetworkSource) and found.remote.protocol == "iscsi" else None


@contextmanager
def lent(connection: Connection, server_id: str, volumes: Mapping[str, Disk]) -> Iterator[None]:
    """The daemon knows the secrets of those of the server's `volumes` that need one, while the `with` lasts."""
    with ExitStack() as stack:
        for volume_id, disk in volumes.items():
            source = source_of(disk)
            if source is not None:
                number = number_of(server_id, volume_id)
                stack.callback(_forget, connection, number)
                usage = element("usage", element("target", text=f"cumulet {number}"), type="iscsi")
                _tell(connection, number, usage, source.credentials.read_bytes())
            if disk.key:
                number = key_of(server_id, volume_id)
                stack.callback(_forget, connection, number)
                usage = element("usage", element("volume", text=f"cumulet {number}"), type="volume")
                _tell(connection, number, usage, disk.key.encode())
        yield


def _tell(connection: Connection, number: str, usage: Element, value: bytes) -> None:
    """What it is used for is looked for by nobody, and must differ."""
    words = element("secret", element("uuid", text=number), usage, ephemeral="yes", private="yes")
    secret = connection.call("virSecretDefineXML", write(words).encode(), 0)
    try:
        call("virSecretSetValue", secret, value, len(value), 0)
    finally:
        call("virSecretFree", secret)


def _forget(connection: Connection, number: str) -> None:
    """A daemon that is away has forgotten it already."""
    try:
        secret = connection.call("virSecretLookupByUUIDString", number.encode())
    except (LibvirtError, NotReady):
        return
    try:
        call("virSecretUndefine", secret)
    finally:
        call("virSecretFree", secret)
