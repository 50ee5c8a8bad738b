# SPDX-License-Identifier: Apache-2.0
"""What routers translate ends where the external address leads elsewhere, and those who began it hear of that.

Routers take connections up in the middle. So the next packet of one that was ended would go to whom the address means
now, and vanish at that port: its sender would wait for as long as TCP has patience. Instead the router answers it with
a reset, for KEPT seconds, while the address leads elsewhere. That is a table of its own, which only routers have that
ended such connections. A packet of a connection that is known is looked at for its state alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from functools import partial

from cumulet.services.network.drivers.fabric import conntrack, names, nft, rulesets
from cumulet.services.network.drivers.fabric.namespace import Namespace
from cumulet.services.network.types import RouterState

LOG = logging.getLogger(__name__)

TABLE = "cumulet_turned"
KEPT = 600.0
MOST = 10_000  # connections of one router of which is told
_METADATA = "169.254.169.254"

# Conntrack takes a FIN for one of no connection, and all else that is no SYN for one of a connection that it missed.
_TEXT = f"""add table ip {TABLE}
delete table ip {TABLE}
table ip {TABLE} {{
set ended {{ type ipv4_addr . inet_service . ipv4_addr . inet_service; flags timeout; }}
chain answer {{ ip saddr . tcp sport . ip daddr . tcp dport @ended reject with tcp reset; }}
chain pre {{ type filter hook prerouting priority -149;
ct state established,related accept
ct state new tcp flags & (fin | syn | rst | ack) != syn goto answer
ct state invalid tcp flags & (fin | syn | rst) == fin goto answer
}}
}}"""

_Ended = dict[conntrack.Tuple, tuple[float, conntrack.Entry]]


class Translated:
    """Ends what routers do not translate so any more, and lets them tell; one thread at a time does so."""

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._ended: dict[str, _Ended] = {}

    def over(self) -> set[str]:
        """The routers that have nothing to tell any more: the next `end` lets them be as they were."""
        oldest = time.monotonic() - KEPT
        return {key for key, ended in self._ended.copy().items() if all(when < oldest for when, _ in ended.values())}

    def keep(self, routers: Iterable[str]) -> None:
        """Forget all other routers."""
        wanted = set(routers)
        for key in self._ended.copy().keys() - wanted:
            self._ended.pop(key, None)

    def end(self, router: RouterState) -> None:
        """Raises OSError."""
        space = Namespace(names.router_namespace(self._mark, router.id))
        if space.exists():
            space.visit(partial(self._end, router))

    def _end(self, router: RouterState) -> None:
        """The router tells before it forgets: a packet in between would begin the connection anew."""
        ending = [entry for entry in conntrack.read() if not is_current(router, entry)]
        try:
            self._tell(router, ending)
        except nft.RulesRefused as error:
            LOG.error("router %s cannot tell that connections have ended: %s", router.id, error)
        conntrack.delete(ending)

    def _tell(self, router: RouterState, ending: Iterable[conntrack.Entry]) -> None:
        now = time.monotonic()
        known = self._ended.get(router.id, {})
        turned = {key: held for key, held in known.items() if held[0] > now - KEPT and not is_current(router, held[1])}
        turned |= {entry.original: (now, entry) for entry in ending if entry.tcp is not None and _is_led(entry)}
        turned = dict(list(turned.items())[-MOST:])
        if turned == known:
            return
        if turned:
            rulesets.load_all([_TEXT, *_elements(turned, now)])
            self._ended[router.id] = turned
        else:
            nft.remove("ip", TABLE)
            self._ended.pop(router.id, None)


def meaning(router: RouterState) -> tuple[object, ...]:
    """What the router's translation depends on."""
    return set(router.floating), set(router.forwards), _own(router)


def is_current(router: RouterState, entry: conntrack.Entry) -> bool:
    """Whether the router would translate the connection's addresses as it does."""
    there, back = entry.original, entry.reply
    floating = {one.address: one.fixed for one in router.floating}
    own = _own(router)
    if _is_led(entry):
        to_fixed = floating.get(there.destination) == back.source
        if not (to_fixed or there.destination in own or there.destination == _METADATA or _is_forwarded(router, entry)):
            return False
    if there.source == back.destination:
        return True
    return back.destination in own or floating.get(back.destination) == there.source


def _is_led(entry: conntrack.Entry) -> bool:
    """Whether it goes elsewhere than to the address that its first packet named."""
    there, back = entry.original, entry.reply
    return (there.destination, there.destination_port) != (back.source, back.source_port)


def _is_forwarded(router: RouterState, entry: conntrack.Entry) -> bool:
    there, back = entry.original, entry.reply
    for one in router.forwards:
        if (
            one.address == there.destination
            and one.fixed == back.source
            and one.low <= there.destination_port <= one.high
        ):
            shifted = there.destination_port - one.low + one.fixed_low
            return back.source_port == (one.fixed_low if one.fixed_low == one.fixed_high else shifted)
    return False


def _own(router: RouterState) -> set[str]:
    return {text.split("/")[0] for leg in router.every_leg for text in leg.addresses}


def _elements(turned: Mapping[conntrack.Tuple, tuple[float, conntrack.Entry]], now: float) -> Iterable[str]:
    """The commands that say so of all these connections."""
    items = [
        f"{one.source} . {one.source_port} . {one.destination} . {one.destination_port} "
        f"timeout {max(1, int(when + KEPT - now))}s"
        for one, (when, _) in turned.items()
    ]
    for at in range(0, len(items), rulesets.SOME):
        yield f"add element ip {TABLE} ended {{ {', '.join(items[at : at + rulesets.SOME])} }}"
