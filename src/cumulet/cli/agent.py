# SPDX-License-Identifier: Apache-2.0
"""`cumulet agent`: this host's agent in the foreground; with `--join`, after it has become a member of a cloud."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from cumulet.cli import Call, kinship

if TYPE_CHECKING:
    from cumulet.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    kinship.arguments(parser)
    parser.add_argument(
        "urls", nargs="*", metavar="URL", help="where the control plane is: https://HOST:PORT, each replica"
    )
    parser.add_argument(
        "--join", metavar="TOKEN", help="become a member first; `-` reads the token from standard input"
    )
    parser.add_argument(
        "--fake-hosts",
        type=int,
        metavar="N",
        help="be N hosts on fake drivers, which have to be set; for tests of scale",
    )
    parser.add_argument("--drain", action="store_true", help="stop the servers and remove the networks, then exit")


def run(call: Call) -> int:
    """Serve until SIGTERM, or drain."""
    if (trouble := _leave_the_hosts_network(call.settings)) is not None:
        print(f"cumulet: {trouble}", file=sys.stderr)
        return 1
    kinship.follow(call.arguments.parent)
    from cumulet import agent
    from cumulet.kernel import lock
    from cumulet.kernel.link.names import NotJoined

    words = call.arguments
    try:
        if words.drain:
            return 0 if _drain(call.settings) else 1
        if words.join is not None or words.urls:
            _become_member(call)
        if words.fake_hosts is not None:
            return _be_many(call)
        agent.run(call.settings)
    except lock.Held as error:
        print(f"cumulet: another agent works on this state directory: {error}", file=sys.stderr)
        return 1
    except NotJoined as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    return 0


def _leave_the_hosts_network(settings: Settings) -> str | None:
    """Enter the namespaces of a cloud without root, before there are threads; why that is not to be."""
    if not settings.network.is_apart:
        return None
    from cumulet.kernel import userland

    settings.run.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        userland.enter(settings.run)
    except OSError as error:
        return f"{error} (cumulet doctor says what is missing)"
    return None


def _drain(settings: Settings) -> bool:
    from cumulet import agent
    from cumulet.kernel import userland

    is_gone = agent.drain(settings)
    if is_gone:
        userland.end(settings.run)
    return is_gone


def _be_many(call: Call) -> int:
    from cumulet import fake_hosts

    try:
        fake_hosts.run(call.settings, call.arguments.fake_hosts)
    except ValueError as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 2
    return 0


def _become_member(call: Call) -> None:
    """Join with the token, or only take over the new addresses. Raises NotJoined."""
    from cumulet.kernel.link.join import join
    from cumulet.kernel.link.membership import Membership
    from cumulet.kernel.link.names import NotJoined

    words, settings = call.arguments, call.settings
    membership = Membership(settings.state / "agent")
    if words.join is None:
        membership.holder()
        try:
            membership.keep_urls(words.urls)
        except ValueError as error:
            raise NotJoined(str(error)) from None
        return
    if not words.urls:
        raise NotJoined("say where the control plane is: cumulet agent --join TOKEN https://HOST:PORT")
    token = sys.stdin.readline() if words.join == "-" else words.join
    join(token, words.urls, settings.host, membership)
    print(f"host {settings.host} has joined", file=sys.stderr)
