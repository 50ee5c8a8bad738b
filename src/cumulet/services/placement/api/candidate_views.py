# SPDX-License-Identifier: Apache-2.0
"""How candidates are shown: JSON put together from parts that are made once, for an answer may tell of thousands."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson

from cumulet.kernel.http import Request
from cumulet.services.placement.logic.candidates import Answer
from cumulet.services.placement.logic.nodes import Node
from cumulet.services.placement.logic.search import Candidate, Query
from cumulet.services.placement.logic.walk import Found, alone

_PLACE = "@"  # stands for a provider's uuid: no suffix and no class can be called so
_WITH_TREES = (1, 29)  # from here on a summary is the same whatever the request


class Summaries:
    """Summaries of providers as they are now, `MOST` of them at the most; one that changes is another node."""

    MOST = 20_000

    def __init__(self) -> None:
        self._made: dict[Node, bytes] = {}

    def of(self, node: Node) -> bytes:
        """`"uuid":{...}`, from API 1.29 on."""
        made = self._made.get(node)
        if made is None:
            if len(self._made) >= self.MOST:
                self._made = {}
            made = self._made[node] = _member(node, _summary(_WITH_TREES, node, node.kind.places))
        return made


def body(request: Request, query: Query, answer: Answer) -> bytes:
    """The whole answer."""
    requests = b",".join(_requests(request, query, answer.found))
    summaries = b",".join(_summaries(request, query, answer))
    return b'{"allocation_requests":[%b],"provider_summaries":{%b}}' % (requests, summaries)


def _requests(request: Request, query: Query, found: Sequence[Found]) -> Iterator[bytes]:
    if not found:
        return  # an amount that is had nowhere may be more than JSON is made of
    alike = orjson.dumps(_request(request, alone(query, _PLACE))).split(orjson.dumps(_PLACE))
    for each in found:
        if isinstance(each, Node):
            yield orjson.dumps(each.uuid).join(alike)
        else:
            yield orjson.dumps(_request(request, each))


def _request(request: Request, candidate: Candidate) -> dict[str, Any]:
    if request.version < (1, 12):
        claims = [
            {"resource_provider": {"uuid": uuid}, "resources": amounts} for uuid, amounts in candidate.claims.items()
        ]
        return {"allocations": claims}
    shown: dict[str, Any] = {
        "allocations": {uuid: {"resources": amounts} for uuid, amounts in candidate.claims.items()}
    }
    if request.version >= (1, 34):
        shown["mappings"] = candidate.mappings
    return shown


def _summaries(request: Request, query: Query, answer: Answer) -> Iterator[bytes]:
    """The providers to tell of: those that are claimed of and, from 1.29 on, all others of their trees."""
    if request.version >= _WITH_TREES:
        of = request.cloud.keep(Summaries).of
        yield from map(of, answer.nodes)
        return
    claimed = {each.uuid for each in answer.found if isinstance(each, Node)}
    for each in answer.found:
        if isinstance(each, Candidate):
            claimed.update(each.claims)
    wanted = {name for group in query.groups.values() for name in group.resources}
    for node in answer.nodes:
        if node.uuid in claimed:
            names = [name for name in node.kind.places if request.version >= (1, 27) or name in wanted]
            yield _member(node, _summary(request.version, node, names))


def _member(node: Node, summary: dict[str, Any]) -> bytes:
    return orjson.dumps(node.uuid) + b":" + orjson.dumps(summary)


def _summary(version: tuple[int, int], node: Node, names: Iterable[str]) -> dict[str, Any]:
    places = node.kind.places
    resources = {name: {"capacity": node.capacity[places[name]], "used": node.used[places[name]]} for name in names}
    shown: dict[str, Any] = {"resources": resources}
    if version >= (1, 17):
        shown["traits"] = sorted(node.traits)
    if version >= _WITH_TREES:
        shown["parent_provider_uuid"] = node.parent
        shown["root_provider_uuid"] = node.root
    return shown
