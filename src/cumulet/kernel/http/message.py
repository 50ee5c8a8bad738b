# SPDX-License-Identifier: Apache-2.0
"""A request as handlers see it, and the reply that they return."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, quote

from cumulet.kernel.context import Context
from cumulet.kernel.errors import Forbidden

if TYPE_CHECKING:
    from cumulet.kernel.cloud import Cloud
    from cumulet.kernel.http.routes import Api, Route

Version = tuple[int, int]
T = TypeVar("T")

_IN_PATHS = "/:@!$&'()*+,;=~-._"  # what stands in a path as it is


@dataclass
class Request:
    """One request on its way through the pipeline.

    `path` is below the service's root (`/v3/regions`), percent-decoded; `headers` have lower-case names. `params` are
    the path's variables. `body` is the parsed JSON (None without one), `raw` its bytes; a streaming route finds
    neither and reads `chunks`. `version` is the negotiated microversion, (0, 0) for services without.
    """

    cloud: Cloud
    api: Api
    method: str
    path: str
    query_string: str
    headers: Mapping[str, str]
    scheme: str = "http"
    client: str = ""
    request_id: str = ""
    raw: bytes = b""
    body: Any = None
    params: dict[str, str] = field(default_factory=dict)
    version: Version = (0, 0)
    chunks: AsyncIterator[bytes] | None = None
    ctx: Context = field(default_factory=Context)
    # What the pipeline finds out on the way.
    candidates: tuple[Route, ...] = ()
    route: Route | None = None
    _found: dict[Any, Any] = field(default_factory=dict)

    @cached_property
    def query_pairs(self) -> list[tuple[str, str]]:
        """The query's names and values in order, repeated names included."""
        return parse_qsl(self.query_string, keep_blank_values=True)

    @cached_property
    def query(self) -> dict[str, str]:
        """The query's values by name; the last one of a repeated name."""
        return dict(self.query_pairs)

    @cached_property
    def origin(self) -> str:
        """`http://host:port`, as the caller reached us."""
        return f"{self.headers.get('x-forwarded-proto', self.scheme)}://{self.headers.get('host', 'localhost')}"

    @cached_property
    def root_url(self) -> str:
        """The service's root as the caller reached it, without a final slash."""
        return self.origin + self.api.root

    @property
    def url(self) -> str:
        """The request's own URL without its query, percent-encoded."""
        return self.root_url + quote(self.path, safe=_IN_PATHS)

    def once(self, find: Callable[[Request], T]) -> T:
        """What `find` finds for this request, found at the first call: the rule's target and the handler share it."""
        if find not in self._found:
            self._found[find] = find(self)
        found: T = self._found[find]
        return found

    def allows(self, rule: str, target: Mapping[str, Any] | None = None) -> bool:
        """Whether the caller passes `rule` of this service on `target` (default: something of its own)."""
        return self.cloud.allows(self.api.service, rule, self.ctx, target)

    def require(self, rule: str, target: Mapping[str, Any] | None = None) -> None:
        """Raise Forbidden unless the caller passes `rule`."""
        if not self.allows(rule, target):
            raise Forbidden(f"Policy doesn't allow {rule} to be performed.", code="PolicyNotAuthorized", rule=rule)


@dataclass
class Reply:
    """A status, headers and a body: plain data (sent as JSON), bytes with a media type, chunks, or nothing."""

    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    chunks: AsyncIterator[bytes] | None = None
