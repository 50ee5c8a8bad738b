# SPDX-License-Identifier: Apache-2.0
"""What the object store's process asks over the link (`contract.ObjectStoreAuth`)."""

from __future__ import annotations

from typing import Any

import msgspec

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Invalid
from cumulet.services.identity.contract import ACCESS_KEY, EPOCH, TOKEN
from cumulet.services.identity.logic.object_store import Holders


def listen(cloud: Cloud) -> None:
    """Answer."""
    holders = Holders(cloud)
    cloud.hosts.answer(EPOCH, lambda _who, _body: {"epoch": holders.epoch()}, afar=True)
    cloud.hosts.answer(
        TOKEN, lambda _who, body: _plain(holders.token(_text(body, "token"), _text(body, "service_token"))), afar=True
    )
    cloud.hosts.answer(ACCESS_KEY, lambda _who, body: _plain(holders.access_key(_text(body, "access"))), afar=True)


def _plain(told: msgspec.Struct) -> dict[str, Any]:
    return dict(msgspec.to_builtins(told))


def _text(body: dict[str, Any], name: str) -> str:
    found = body.get(name, "")
    if not isinstance(found, str):
        raise Invalid(f"{name} is no text")
    return found
