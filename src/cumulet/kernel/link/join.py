# SPDX-License-Identifier: Apache-2.0
"""How a host becomes a member: a token for a certificate; and how it gets the next certificate in time.

The token names the authority by its fingerprint. The first question goes to whoever answers and is compared with it;
the secret is said only to one who has shown a certificate of that authority.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import random
import threading
from collections.abc import Callable, Sequence
from typing import Any

from cumulet.kernel import clock, errors
from cumulet.kernel.link import certificates, greeting, ways
from cumulet.kernel.link.certificates import BACKDATE
from cumulet.kernel.link.frames import FrameError
from cumulet.kernel.link.membership import Membership
from cumulet.kernel.link.names import RENEW, TOKEN_PREFIX, NotJoined
from cumulet.kernel.link.outcome import RemoteFailure
from cumulet.kernel.link.peer import SILENCE

LOG = logging.getLogger(__name__)

RENEW_AT = 1 / 3  # of its time is left when a certificate is renewed
LOOKS = 60  # looks at a certificate within its time
FIRST_LOOK, LONGEST_LOOK = 1.0, 3600.0  # seconds

Body = dict[str, Any]


def join(token: str, urls: Sequence[str], host: str, membership: Membership) -> None:
    """Become the host `host` of the cloud at `urls`, any of which may answer. Raises NotJoined."""
    prefix, _, rest = token.strip().partition(".")
    fingerprint, _, secret = rest.partition(".")
    if prefix != TOKEN_PREFIX or not fingerprint or not secret:
        raise NotJoined(f"this is no join token; one begins with {TOKEN_PREFIX}. (make one by `cumulet host token`)")
    try:
        places = [ways.parse(url) for url in urls]
    except ValueError as error:
        raise NotJoined(str(error)) from None
    key = certificates.new_key()
    wish = {"host": host, "token": secret, "request": certificates.request(key, host)}
    authority, answer = _ask_any(places, fingerprint, wish)
    try:
        held = certificates.holder(answer["certificate"])
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NotJoined("the control plane answered without a certificate") from None
    if held.role != "host" or held.name != host:
        raise NotJoined(f"the control plane answered with a certificate of {held.role} {held.name}")
    membership.keep(key, answer["certificate"], authority, urls)


def _ask_any(places: Sequence[tuple[str, int]], fingerprint: str, wish: Body) -> tuple[str, Body]:
    troubles = []
    for place in places:
        try:
            return asyncio.run(_ask(place, fingerprint, wish))
        except greeting.Refused as error:
            raise NotJoined(str(error)) from None
        except (OSError, FrameError) as error:
            troubles.append(str(error))
    raise NotJoined("; ".join(troubles))


async def _ask(place: tuple[str, int], fingerprint: str, wish: Body) -> tuple[str, Body]:
    shown = await _say(ways.TlsWay(*place, certificates.blind_context, silence=SILENCE, server_name=None), {})
    authority = shown.get("authority")
    try:
        matches = isinstance(authority, str) and hmac.compare_digest(certificates.fingerprint(authority), fingerprint)
    except ValueError:
        matches = False
    if not matches:
        raise FrameError(f"{ways.address(*place)} is not the cloud that the join token is of")
    trusting = ways.TlsWay(*place, lambda: certificates.client_context(str(authority)), silence=SILENCE)
    return str(authority), await _say(trusting, wish)


async def _say(way: ways.TlsWay, wish: Body) -> Body:
    reader, writer = await way.open()
    try:
        await greeting.say(writer, {"join": wish})
        answer, _ = await greeting.hear(reader)
        return answer
    finally:
        await greeting.part(writer)


class Renewal:
    """A thread that asks for the next certificate in time; `call` asks the control plane over the link."""

    def __init__(self, membership: Membership, call: Callable[..., Any]) -> None:
        self._membership = membership
        self._call = call
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="renewal", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(5)

    def _loop(self) -> None:
        pause = FIRST_LOOK
        while not self._stop.wait(pause * random.uniform(0.5, 1.0)):  # noqa: S311 - spreads the load
            try:
                held = self._membership.holder()
                length = max(held.until - held.since - BACKDATE, 1.0)
                pause = min(length / LOOKS, LONGEST_LOOK)
                if held.until - clock.now() < length * RENEW_AT:
                    self._renew(held.name)
            except errors.NotReady:
                LOG.debug("the certificate will be renewed when there is a link")
            except (errors.CumuletError, RemoteFailure, NotJoined, OSError) as error:
                LOG.warning("the certificate could not be renewed: %s", error)

    def _renew(self, name: str) -> None:
        key = certificates.new_key()
        answer = self._call(RENEW, {"request": certificates.request(key, name)})
        self._membership.replace(key, answer["certificate"])
        self._call(RENEW, {"confirm": certificates.fingerprint(answer["certificate"])})
        LOG.info("the certificate of host %s has been renewed", name)
