# SPDX-License-Identifier: Apache-2.0
"""How the processes of a cloud listen, keep, log and reach each other."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from cumulet.settings.base import Count, Port, Section


class Listen(Section, frozen=True, kw_only=True):
    """An address that a part listens on; port 0 lets the system choose one.

    `url` is where clients find it, where that is another place: behind a load balancer, the same for all replicas.
    """

    host: str = "127.0.0.1"
    port: Port = 0
    url: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^/]+)?$")] = ""


class Database(Section, frozen=True, kw_only=True):
    """Where the state is: `url` names a PostgreSQL database, without one it is a file in the state directory.

    `connections` is how many of the server's connections one process of this cloud takes at most.
    """

    url: Annotated[str, msgspec.Meta(pattern=r"^(postgres(ql)?://.+)?$")] = ""
    connections: Annotated[int, msgspec.Meta(ge=2)] = 16


class Log(Section, frozen=True, kw_only=True):
    """What the log files hold and how much is kept: `keep` files of `size` bytes beside the one being written.

    Notifications whose event type is one of `notifications`, or stands below it, are logged too: `["identity"]`.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    notifications: tuple[str, ...] = ()
    size: Count = 16 * 1024 * 1024
    keep: Count = 3


class Link(Section, frozen=True, kw_only=True):
    """Where hosts on other machines dial in, over TLS; nobody can while `host` is empty.

    `address` is how hosts and other replicas reach this one (default: `host`). A link counts as lost after `silence`
    seconds without a word. Hosts renew their certificates, which last `certificate_lifetime` seconds, in time.
    """

    host: str = ""
    port: Port = 8702
    address: str = ""
    silence: Annotated[float, msgspec.Meta(ge=0.5)] = 10.0
    certificate_lifetime: Count = 30 * 86_400
