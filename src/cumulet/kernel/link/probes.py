# SPDX-License-Identifier: Apache-2.0
"""What `cumulet doctor` examines of the link: on a host that has joined, and where hosts may join."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.doctor import Finding, Probe
from cumulet.kernel.link import certificates, greeting
from cumulet.kernel.link.frames import FrameError
from cumulet.kernel.link.membership import Membership
from cumulet.kernel.link.names import NotJoined
from cumulet.kernel.link.ways import TlsWay
from cumulet.settings import Settings

SKEW_LOW, SKEW_OUT = 5.0, 300.0  # seconds; certificates are made valid ten minutes early
LATE = 0.2  # of a certificate's time: so little is left only where its renewal has failed
AGAIN = "on the control plane: cumulet host token --name {host}; here: cumulet agent --join TOKEN URL"


def probes(settings: Settings) -> list[Probe]:
    """The probes of the link that this machine has; none where it has none but the socket."""
    membership = Membership(settings.state / "agent")
    found = []
    if membership.is_there():
        found.append(Probe("link certificate", partial(certificate, settings, membership)))
        found += [Probe(f"link {way.name}", partial(replica, way)) for way in _ways(settings, membership)]
    if settings.link.host:
        found.append(Probe("link port", partial(port, settings)))
    return found


def certificate(settings: Settings, membership: Membership) -> Finding:
    """Whether this host's certificate is good, and will be."""
    remedy = AGAIN.format(host=settings.host)
    try:
        membership.must_be(settings.host)
        until = membership.holder().until
    except NotJoined as error:
        return Finding("missing", str(error), remedy)
    words = f"of host {settings.host}, until {clock.iso_z(clock.from_seconds(until))}"
    if until - clock.now() < LATE * settings.link.certificate_lifetime:
        return Finding("degraded", f"{words}; it should have been renewed", "see the agent's log, then: " + remedy)
    return Finding("ok", words)


def replica(way: TlsWay) -> Finding:
    """Whether a replica is reached and takes this host, and whether both have the same time."""
    try:
        took, answer = asyncio.run(_ask(way, {"probe": True}))
    except greeting.Refused as error:
        return Finding("missing", f"refused: {error}")
    except (OSError, FrameError) as error:
        return Finding("missing", str(error), "is `cumulet serve` running there, and the port open?")
    if answer.get("revoked"):
        return Finding("missing", "this host has been revoked or removed", "cumulet host token, cumulet agent --join")
    skew = float(answer.get("time", clock.now())) - clock.now()
    words = f"replica {answer.get('replica')} answers in {took * 1000:.0f} ms; clocks differ by {abs(skew):.1f} s"
    if abs(skew) > SKEW_OUT:
        return Finding("missing", words, "set both clocks: apt install chrony")
    return Finding("degraded" if abs(skew) > SKEW_LOW else "ok", words, "apt install chrony")


def port(settings: Settings) -> Finding:
    """Whether hosts can dial this replica at the address that it tells them."""
    way = TlsWay(
        settings.link_address, settings.link.port, certificates.blind_context, silence=settings.link.silence,
        server_name=None,
    )  # fmt: skip
    try:
        _, answer = asyncio.run(_ask(way, {"join": {}}))
    except (OSError, FrameError) as error:
        return Finding("degraded", str(error), "cumulet up; is link.address right?")
    return Finding("ok" if "authority" in answer else "degraded", f"hosts may dial {way.name}")


def _ways(settings: Settings, membership: Membership) -> list[TlsWay]:
    try:
        return membership.ways(settings.link.silence)
    except NotJoined:
        return []


async def _ask(way: TlsWay, hello: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Seconds that the question took, and its answer."""
    begin = time.monotonic()
    reader, writer = await way.open()
    try:
        await greeting.say(writer, hello)
        answer, _ = await greeting.hear(reader)
        return time.monotonic() - begin, answer
    finally:
        await greeting.part(writer)
