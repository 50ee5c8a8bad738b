# SPDX-License-Identifier: Apache-2.0
"""What other services may ask of compute: in the control plane (`ServersContract`) and on a host (`HostDisks`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import msgspec

from cumulet.kernel.context import Context
from cumulet.kernel.moment import Moment

# The kernel's opaque transaction, and what a store can read from (a transaction or a snapshot).
Tx: TypeAlias = Any
Source: TypeAlias = Any


class ServerInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A server as other services see it; `host` is "" until one is chosen, states are compute's own words."""

    id: str
    name: str
    project_id: str
    user_id: str
    host: str
    vm_state: str
    task_state: str | None = None


class ConsoleWay(msgspec.Struct, frozen=True, kw_only=True):
    """Where a console is: a `display` (`vnc`, `spice`, `serial`) of a server, behind the door of its host.

    That is the UNIX socket `path` on the host's own machine, and for others `address` and `port` (0: there is none).
    """

    server_id: str
    display: str
    host: str
    path: str
    address: str
    port: int


class ConsolesContract(Protocol):
    """Where clients of consoles are let in."""

    def admit(self, token: str, display: str) -> ConsoleWay:
        """Use up a token; NotFound where it opens no console of this kind (any more)."""


class ServersContract(Protocol):
    """In the control plane."""

    def server(self, source: Source, server_id: str) -> ServerInfo | None:
        """The server, or None where there is none (any more)."""

    def is_visible(self, source: Source, ctx: Context, server_id: str) -> bool:
        """Whether the caller may know of the server."""

    def volume_gone(self, tx: Tx, server_id: str, volume_id: str) -> None:
        """Block storage took the volume away by force: forget the attachment. Idempotent."""

    def port_gone(self, tx: Tx, server_id: str, port_id: str) -> None:
        """Network deleted a port of the server: take the interface out of the server. Idempotent."""

    def resize_disk(self, server_id: str, volume_id: str, size: int, request_id: str, *, generation: int = 0) -> bool:
        """Tell the server's hypervisor that the volume, open in it, has `size` bytes from now on, as a request wishes.

        False where no running server has it open, so that the caller extends it itself. Blocks for the host's answer.
        Conflict (`StaleAttachment`) where the server has it by another attachment than that of the `generation`.
        """

    def limit_disk(self, server_id: str, volume_id: str, limits: dict[str, int], *, generation: int) -> None:
        """Keep the server's volume, attached with this generation, to `limits` from now on, by libvirt's names.

        Blocks for the host's answer; nothing happens where the server is on none.
        """

    def move_volume(self, tx: Tx, server_id: str, volume_id: str, request_id: str) -> None:
        """Begin to move the server's volume to where block storage has chosen that it goes.

        The end is told to `VolumesContract.moved` or `move_failed`.
        """

    def swap_volume(self, tx: Tx, ctx: Context, server_id: str, old_volume_id: str, new_volume_id: str) -> None:
        """Begin to exchange a running server's volume for another one, which gets its content.

        The end is told to `VolumesContract.swap_ended`. NotFound without the server or its volume, Invalid for a new
        volume that cannot be claimed now.
        """


class HostDisks(Protocol):
    """On a host: all that is done to disks that a running server has open, for a disk has one opener.

    The verbs return False where no running server has the volume open. `generation` is that of the attachment which
    the caller means: where the disk is open by another one, they raise Conflict (`StaleAttachment`), so that an order
    that comes late never reaches the disk of who came after. 0 means any.
    """

    def is_open(self, volume_id: str, backend: str = "") -> bool:
        """Whether a running server on this host has the volume open, itself and on `backend` where one is named."""

    def may_open(self, volume_id: str) -> bool:
        """Whether something is done with a server of this host that has the volume: it may be about to open it."""

    def resize(self, volume_id: str, size: int, *, generation: int = 0) -> bool:
        """Make the volume `size` bytes long."""

    def snapshot(self, volume_id: str, name: str, *, generation: int = 0) -> bool:
        """Take an internal snapshot of a qcow2 volume; nothing happens where it has one of this name."""

    def drop_snapshot(self, volume_id: str, name: str, *, generation: int = 0) -> bool:
        """Forget an internal snapshot; nothing happens where there is none of this name."""

    def copy(self, volume_id: str, target: Path, target_format: str, *, generation: int = 0) -> bool:
        """Write a consistent full copy of the volume as of now to `target`.

        `target` exists with the volume's size and is opened by the server's process for the time of the copy.
        """

    def openers(self, volume_ids: Collection[str]) -> dict[str, list[str]]:
        """The running servers that have some of the volumes open, each with those of them."""

    def copy_together(
        self,
        server_id: str,
        targets: Mapping[str, Path],
        target_format: str,
        *,
        generations: Mapping[str, int],
        moment: Moment | None = None,
    ) -> None:
        """Write copies of volumes that the server has open to `targets`, all as of one moment, as `copy` does.

        It is the `moment` that is shared with others, for which the server is paused. NotReady where the server does
        not have all of the volumes open now.
        """
