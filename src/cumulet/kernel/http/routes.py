# SPDX-License-Identifier: Apache-2.0
"""Routes as data, and the tree that finds them by path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

from cumulet.kernel.http.microversions import Microversions, Version
from cumulet.kernel.schema import Schema

if TYPE_CHECKING:
    from cumulet.kernel.errors import CumuletError
    from cumulet.kernel.http.message import Reply, Request
    from cumulet.kernel.http.websockets import WebsocketRoute

PUBLIC = "public"  # the rule of a route that needs no token: version documents, logging in
ANYONE = "@"  # the rule of a route that any valid token may use

Handler = Callable[["Request"], "Reply"]
StreamHandler = Callable[["Request"], Awaitable["Reply"]]


@dataclass(frozen=True)
class Route:
    """One operation.

    `path` stands below the API's bases, variables in braces. `rule` is the policy rule that the caller must pass,
    PUBLIC or ANYONE; `target` loads what the rule is judged on (default: something of the caller's own). `action` is
    the single key of the body that selects this route among several of one path. `since` and `until` bound the
    microversions, both included. A `raw` one takes no JSON: it reads the body's bytes itself (forms, XML).
    A `stream` handler is a coroutine that reads the body's chunks itself. A `slow` one
    may wait for what takes long (a password's hash, somebody else's directory): it has a pool of its own. `at_hand`
    gives the answer to a request whose like was answered before, or None: it is asked on the event loop itself, before
    all handlers, for the way to a thread and back would cost more than the answer (ADR 25). A route that is
    `always_allowed` may be used by tokens that are limited to certain requests, whichever those are.
    """

    method: str
    path: str
    handler: Handler | StreamHandler
    rule: str
    body: Schema | None = None
    query: Schema | None = None
    action: str | None = None
    since: Version | None = None
    until: Version | None = None
    target: Callable[[Request], Mapping[str, Any]] | None = None
    stream: bool = False
    slow: bool = False
    at_hand: Callable[[Request], Reply | None] | None = None
    raw: bool = False
    always_allowed: bool = False

    def serves(self, version: Version) -> bool:
        return (self.since is None or version >= self.since) and (self.until is None or version <= self.until)


class Dialect(Protocol):
    """How a service words what the kernel cannot know."""

    def error(self, error: CumuletError, request: Request) -> Reply:
        """The service's own error body; headers of the kernel are added later."""


@dataclass(frozen=True)
class Api:
    """A service's whole HTTP interface.

    `root` is the service's place on the shared port (`/compute`); each route stands below each of `bases` (`/v2.1` and
    `/v2.1/{project_id}`). `unversioned` routes stand below the root itself. `body_limit` is in bytes. `headers` stand
    in every answer, and the request's id in each of `request_id_headers`. With `final_slash` a path may end in a slash,
    as it may everywhere at the doors: the unversioned paths and the bases. `closed_to` says of which methods of logging
    in the service takes no tokens, and in which words it refuses them. `token_of` finds a token for a request that
    brought none but proves its caller otherwise. `websockets` stand below the root; no step of the pipeline sees them.
    """

    service: str
    root: str
    bases: tuple[str, ...]
    routes: tuple[Route, ...]
    dialect: Dialect
    unversioned: tuple[Route, ...] = ()
    microversions: Microversions | None = None
    body_limit: int = 1_048_576
    headers: Mapping[str, str] = field(default_factory=dict)
    request_id_headers: tuple[str, ...] = ("x-openstack-request-id",)
    final_slash: bool = False
    closed_to: Mapping[str, str] = field(default_factory=dict)
    token_of: Callable[[Request], str | None] | None = None
    websockets: tuple[WebsocketRoute, ...] = ()

    def find(self, path: str) -> Iterator[tuple[Node, dict[str, str]]]:
        """The nodes that `path` can mean, the most literal first, with the variables' values."""
        if path.endswith("/") and not self.final_slash and path.rstrip("/") not in self._doors:
            return iter(())
        return self.tree.find(path)

    @cached_property
    def _doors(self) -> frozenset[str]:
        return frozenset(path.rstrip("/") for path in (*self.bases, *(route.path for route in self.unversioned), ""))

    @cached_property
    def tree(self) -> Node:
        tree = Node()
        for route in self.unversioned:
            tree.add(route.path, route)
        for base in self.bases:
            for route in self.routes:
                tree.add(base + route.path, route)
        return tree


@dataclass
class Node:
    """One segment of the path tree."""

    literals: dict[str, Node] = field(default_factory=dict)
    variables: dict[str, Node] = field(default_factory=dict)
    routes: dict[str, tuple[Route, ...]] = field(default_factory=dict)

    def add(self, path: str, route: Route) -> None:
        node = self
        for segment in _segments(path):
            if segment.startswith("{"):
                node = node.variables.setdefault(segment[1:-1], Node())
            else:
                node = node.literals.setdefault(segment, Node())
        node.routes[route.method] = (*node.routes.get(route.method, ()), route)

    def find(self, path: str) -> Iterator[tuple[Node, dict[str, str]]]:
        """The nodes that `path` can mean, the most literal first, with the variables' values."""
        yield from self._find(_segments(path), 0, {})

    def _find(self, segments: list[str], at: int, values: dict[str, str]) -> Iterator[tuple[Node, dict[str, str]]]:
        if at == len(segments):
            if self.routes:
                yield self, values
            return
        segment = segments[at]
        literal = self.literals.get(segment)
        if literal is not None:
            yield from literal._find(segments, at + 1, values)
        if segment:
            for name, node in self.variables.items():
                yield from node._find(segments, at + 1, {**values, name: segment})


def _segments(path: str) -> list[str]:
    return path.strip("/").split("/") if path.strip("/") else []
