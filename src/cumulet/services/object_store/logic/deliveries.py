# SPDX-License-Identifier: Apache-2.0
"""What a host takes in of its cluster: rings, each newer than the one before, and the secret where there is none yet.

`ring.look` tells what is here: {"secret": its print or "", "policies": [numbers], "rings": {name: version}}.
`ring.put` brings a ring: {"name", "content" (its file), "print" (of the secret that it goes with), "secret"
({"prefix", "suffix"}, where the host has none)}; the answer is {"new": whether it was not here already}.
"""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from cumulet.kernel import lock
from cumulet.kernel.errors import Conflict, Invalid, NotReady
from cumulet.services.object_store.logic import home as homes
from cumulet.services.object_store.logic.home import RINGS, Secret
from cumulet.services.object_store.ring import delivery, files
from cumulet.settings.object_store import LOOPBACK, ObjectStore

LOG = logging.getLogger(__name__)

LOOK, PUT = "ring.look", "ring.put"
NAME = re.compile(r"account|container|object(-[1-9][0-9]{0,8})?")

Plain = Callable[[Any], Awaitable[Any]]


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """A ring on its way."""

    name: str
    content: bytes
    print: str
    secret: Secret | None = None

    def __repr__(self) -> str:
        return f"Parcel({self.name})"


class Deliveries:
    """To the store in `folder`."""

    def __init__(self, folder: Path, settings: ObjectStore) -> None:
        self._folder = folder
        self._settings = settings
        self._alone = threading.Lock()
        self.verbs: Mapping[str, Plain] = {LOOK: self._look, PUT: self._put}

    def look(self) -> dict[str, Any]:
        """What is here. May block."""
        secret = homes.read_secret(self._folder)
        rings = {}
        for path in sorted((self._folder / RINGS).glob("*.ring.gz")):
            try:
                rings[path.name.removesuffix(".ring.gz")] = files.read(path).version or 0
            except (Invalid, FileNotFoundError):
                continue
        return {"secret": secret.print if secret is not None else "", "policies": self.policies(), "rings": rings}

    def policies(self) -> list[int]:
        """The numbers of those that the settings have."""
        return [each.number for each in homes.policies_of(self._settings)]

    def put(self, parcel: Parcel) -> bool:
        """Take it in; whether it was not here already. May block.

        Raises Invalid for what is no ring, Conflict where the secret or the ring is another one, NotReady.
        """
        if NAME.fullmatch(parcel.name) is None:
            raise Invalid(f"{parcel.name!r} is no name of a ring.")
        source = Path(f"{parcel.name}.ring.gz")
        ring = files.parse(parcel.content, source)
        if not self._settings.is_alone and any(each and each.ip == LOOPBACK for each in ring.devices):
            raise Conflict(f"{source} has devices at {LOOPBACK}, where no other host finds them (ring set-address).")
        with self._alone:
            self._take_secret(parcel)
        (self._folder / RINGS).mkdir(parents=True, exist_ok=True)
        try:
            [(target, is_new)] = delivery.put(parcel.content, ring, source, [self._folder / RINGS])
        except lock.Held as error:
            raise NotReady(f"Somebody else brings a ring just now: {error}.") from None
        if is_new:
            LOG.info("version %s of %s was brought", ring.version, target)
        return is_new

    def _take_secret(self, parcel: Parcel) -> None:
        own = homes.read_secret(self._folder)
        if own is None:
            if parcel.secret is None or parcel.secret.print != parcel.print:
                raise Conflict("This host has no secret yet, and none was brought.")
            homes.keep_secret(self._folder, parcel.secret)
            LOG.info("the cluster's secret was brought")
        elif own.print != parcel.print:
            raise Conflict("This host belongs to another cluster: it has another secret.")

    async def _look(self, _body: Any) -> Any:
        return await asyncio.to_thread(self.look)

    async def _put(self, body: Any) -> Any:
        try:
            parcel = msgspec.convert(body, Parcel)
        except msgspec.ValidationError as error:
            raise Invalid(f"This is no ring that is brought: {error}.") from None
        return {"new": await asyncio.to_thread(self.put, parcel)}
