# SPDX-License-Identifier: Apache-2.0
"""One way to list, show, create, change and delete for every resource whose attributes are data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Generic

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Forbidden, Invalid, NotFound
from cumulet.kernel.http import Reply, Request, Route
from cumulet.kernel.http.routes import ANYONE
from cumulet.services.network import events
from cumulet.services.network.api import attributes as parsing
from cumulet.services.network.api import listing
from cumulet.services.network.api.attributes import ABSENT, REQUIRED, Attributes
from cumulet.services.network.api.listing import Filter, Item
from cumulet.services.network.api.parts.base import Part
from cumulet.services.network.flows.converge import Converger
from cumulet.services.network.logic import access, concern, sharing
from cumulet.services.network.logic.faults import bad, fault
from cumulet.services.network.policy import RULES
from cumulet.services.network.store import common as store
from cumulet.services.network.store import lists, visibility
from cumulet.services.network.store.kinds import Row
from cumulet.services.network.types import Network

CHUNK = 100  # rows that are read at the least, once a page has turned out to want more than it is long


@dataclass(frozen=True)
class Resource(Generic[Row]):
    """A resource's whole HTTP behaviour.

    `render` makes the answers' items of rows; they hold every attribute that is shown, and what policy rules ask of
    the surroundings (the network's owner). `extend` adds the latter to an item that has yet to be created. `create`
    takes all items of a request at once. `network_first`: what is created is in a network, which is not found (404)
    where the caller cannot see it, before policy has its word. `delete` may answer with hosts that nothing else says
    are concerned. `complete` adds to an answer's item what follows from the cloud's settings. `bulk`: a request may
    create several. `pages`: a list has them. `prefix` stands before the collection in paths. `forgets_sharing`: those
    whom it is only shared with do not find what they may not change, as Neutron does not look whether it is.
    """

    name: str
    collection: str
    kind: type[Row]
    attributes: Attributes
    render: Callable[[Source, list[Row]], list[Item]]
    create: Callable[[Cloud, Tx, Context, list[dict[str, Any]]], list[Row]] | None = None
    update: Callable[[Cloud, Tx, Context, str, dict[str, Any]], Row] | None = None
    delete: Callable[[Cloud, Tx, Context, str], set[str] | None] | None = None
    extend: Callable[[Source, Item], Item] = lambda _source, item: item
    filters: Mapping[str, Filter] = field(default_factory=dict)
    before_list: Callable[[Request], None] = lambda _request: None
    network_first: bool = False
    bulk: bool = True
    pages: bool = True
    parts: tuple[Part, ...] = ()
    complete: Callable[[Cloud, Item], Item] = lambda _cloud, item: item
    prefix: str = ""
    forgets_sharing: bool = False

    @property
    def path(self) -> str:
        return f"{self.prefix}/{self.collection.replace('_', '-')}"

    @property
    def rule(self) -> str:
        """What policy calls the resource: `create_RULE` and so on."""
        return self.name

    @cached_property
    def known(self) -> Attributes:
        """All attributes, those of the parts too."""
        return {**self.attributes, **{name: each for part in self.parts for name, each in part.attributes.items()}}

    @cached_property
    def narrowing(self) -> Mapping[str, Filter]:
        """All filters that are more than an attribute's value."""
        return {**self.filters, **{name: each for part in self.parts for name, each in part.filters.items()}}

    def routes(self) -> tuple[Route, ...]:
        """The resource's routes. Policy is judged here and not on the way: what may not be seen is not found (404)."""
        one = f"{self.path}/{{id}}"
        found = [Route("GET", self.path, self.find_all, ANYONE), Route("GET", one, self.show, ANYONE)]
        if self.create is not None:
            found.append(Route("POST", self.path, self.make, ANYONE))
        if self.update is not None:
            found.append(Route("PUT", one, self.change, ANYONE))
        if self.delete is not None:
            found.append(Route("DELETE", one, self.remove, ANYONE))
        return tuple(found)

    # Handlers.

    def find_all(self, request: Request) -> Reply:
        self.before_list(request)
        wanted = listing.filters_of(request, self.known, self.narrowing)
        order, limit = listing.order_of(request, self.known), listing.limit_of(request) if self.pages else 0
        if limit and self._is_plain and lists.sorts(self.kind, order):
            chosen = self._page(request, wanted, order, limit)
            links = listing.links(request, chosen, self.collection, limit)
        else:
            found = listing.ordered(request, self._fitting(request, self._rows(request, wanted), wanted), self.known)
            chosen, links = listing.page(request, found, self.collection) if self.pages else (found, {})
        return Reply(200, {self.collection: self.shown(request, chosen), **links})

    def show(self, request: Request) -> Reply:
        item = self.load(request)
        return Reply(200, {self.name: self.shown(request, [item])[0]})

    def make(self, request: Request) -> Reply:
        assert self.create is not None
        values = parsing.read_bodies(
            request.ctx, request.body, self.name, self.collection if self.bulk else "", self.known
        )
        place = self.place(request)
        for item in values:
            if self.network_first:
                access.get(request.cloud.db, request.ctx, Network, item["network_id"])
            given = [name for name in item if self._is_enforced(name, item)]
            target = self.extend(request.cloud.db, {**item, **place})
            self.require(request, "create", sharing.told(request.cloud.db, request.ctx, [target])[0], given)
        create = self.create

        def write(tx: Tx) -> list[Item]:
            self._begun(request, tx, "create", request.body)
            self._check_parts(tx, request.ctx, [(None, item) for item in values])
            rows = create(request.cloud, tx, request.ctx, [{**item, **place} for item in values])
            self._write_parts(tx, request.ctx, list(zip(rows, values, strict=True)))
            tell(request.cloud, tx, concern.of(tx, self.kind, [row.id for row in rows]))
            return [self.told(request, tx, events.created, item) for item in self.seen(request, tx, rows)]

        made = self.shown(request, request.cloud.db.write(write))
        is_bulk = self.bulk and self.collection in request.body
        return Reply(201, {self.collection: made} if is_bulk else {self.name: made[0]})

    def change(self, request: Request) -> Reply:
        assert self.update is not None
        values = parsing.read_change(request.ctx, request.body, self.name, self.known)
        before = self.load(request)
        self._require_change(request, {**before, **values}, [name for name in values if self.known[name].enforce])
        update, key = self.update, before["id"]

        def write(tx: Tx) -> Item:
            self._begun(request, tx, "update", {**request.body, "id": key})
            self._check_revision(request, tx, key)
            self._check_parts(tx, request.ctx, [(access.must(tx, self.kind, key), values)] if self.parts else [])
            concerned = concern.of(tx, self.kind, [key])
            row = update(request.cloud, tx, request.ctx, key, dict(values))
            self._write_parts(tx, request.ctx, [(row, values)])
            tell(request.cloud, tx, concerned | concern.of(tx, self.kind, [key]))
            return self.told(request, tx, events.updated, self.seen(request, tx, [row])[0])

        after = request.cloud.db.write(write)
        return Reply(200, {self.name: self.shown(request, [after])[0]})

    def remove(self, request: Request) -> Reply:
        assert self.delete is not None
        if request.raw:
            raise Invalid("Request body is not supported in DELETE.")
        before = self.load(request)
        self.require(request, "delete", before, [])
        delete = self.delete

        def write(tx: Tx) -> None:
            self._begun(request, tx, "delete", {f"{self.name}_id": before["id"]})
            self._check_revision(request, tx, before["id"])
            tell(request.cloud, tx, concern.of(tx, self.kind, [before["id"]]))
            for part in self.parts:
                part.delete(tx, request.ctx, before["id"])
            tell(request.cloud, tx, delete(request.cloud, tx, request.ctx, before["id"]) or set())
            self.told(request, tx, events.deleted, before)

        request.cloud.db.write(write)
        return Reply(204)

    # What others build on.

    def items(self, source: Source, rows: list[Row]) -> list[Item]:
        """What answers are made of: the rows with what the parts show of each."""
        found = self.render(source, rows)
        for part in self.parts if rows else ():
            found = [{**item, **more} for item, more in zip(found, part.render(source, rows), strict=True)]
        for part in self.parts if rows else ():
            found = part.complete(source, rows, found)
        return found

    def _fitting(self, request: Request, rows: list[Row], wanted: Mapping[str, list[Any]]) -> list[Item]:
        """The items of rows that the filters and policy let pass."""
        items = listing.matching(self.seen(request, request.cloud.db, rows), wanted, self.narrowing)
        return [item for item in items if self._may(request, "get", item)]

    def _rows(self, request: Request, wanted: Mapping[str, list[Any]]) -> list[Row]:
        """All rows that may come into a list."""
        columns = {name: values for name, values in wanted.items() if lists.compared(self.kind, name, values)}
        more = lists.narrowing(self.kind, wanted) if self._is_plain else []
        return self.rows(request, columns) if not more else self._find(request, columns, more)

    def _page(self, request: Request, wanted: Mapping[str, list[Any]], order: lists.Order, limit: int) -> list[Item]:
        """One page of a list: no more rows are read, and made items of, than it takes to fill it."""
        db, everything = request.cloud.db, access.sees_all(request.ctx)
        columns = {name: values for name, values in wanted.items() if lists.compared(self.kind, name, values)}
        where = [*lists.equal(self.kind, columns), *lists.narrowing(self.kind, wanted)]
        backwards = listing.is_backwards(request)
        whole, after = lists.complete(order, backwards), self._marked(request)
        chosen: list[Item] = []
        step = limit
        while len(chosen) < limit:
            rows = lists.find_page(db, request.ctx, self.kind, everything, where, whole, after, step)
            chosen += self._fitting(request, rows, wanted)
            if len(rows) < step:
                break
            after, step = rows[-1], max(step, CHUNK)
        return chosen[:limit][::-1] if backwards else chosen[:limit]

    def _marked(self, request: Request) -> Row | None:
        """The row behind which the page begins."""
        marker = request.query.get("marker")
        if not marker:
            return None
        found = self.rows(request, {"id": [marker]})
        if not found:
            listing.miss_marker(self.collection, marker)
        return found[0] if found else None

    def _find(self, request: Request, columns: Mapping[str, Iterable[Any]], more: list[Any]) -> list[Row]:
        """As `rows`, limited by further conditions."""
        where = [*lists.equal(self.kind, columns), *more]
        return lists.find(request.cloud.db, request.ctx, self.kind, access.sees_all(request.ctx), *where)

    @property
    def _is_plain(self) -> bool:
        """Whether the rows are simply those of the kind that the caller may see."""
        return type(self).rows is Resource.rows

    def rows(self, request: Request, columns: Mapping[str, Iterable[Any]]) -> list[Row]:
        """The rows of a list that the caller may see, limited to the values given for columns."""
        everything = access.sees_all(request.ctx)
        return visibility.find_visible(request.cloud.db, request.ctx, self.kind, everything, **columns)

    def row(self, request: Request, key: str) -> Row:
        """The row of the id, where the caller may see it; the resource's own 404 else."""
        return access.get(request.cloud.db, request.ctx, self.kind, key)

    def place(self, request: Request) -> Item:
        """What the path says of an item that is created at it."""
        return {}

    def seen(self, request: Request, source: Source, rows: list[Row]) -> list[Item]:
        """The items as the caller has to see them: what is shared, is so with somebody."""
        return sharing.told(source, request.ctx, self.items(source, rows))

    def load(self, request: Request, key: str | None = None) -> Item:
        """The item of the path's id, where the caller may see it; the resource's own 404 else."""
        row = self.row(request, key or request.params["id"])
        item = self.seen(request, request.cloud.db, [row])[0]
        if not self._may(request, "get", item):
            raise NotFound("The resource could not be found.")
        return item

    def require(self, request: Request, verb: str, item: Item, given: list[str]) -> None:
        """Hold policy's rule for the verb, and those for the attributes given, against the item."""
        target = self.target(item)
        rule, parts = f"{verb}_{self.rule}", [self._attribute_rules(verb, name, item) for name in given]
        if not all(request.allows(each, target) for each in (rule, *(each for part in parts for each in part))):
            raise Forbidden(f"{worded(rule, parts)} is disallowed by policy", code="PolicyNotAuthorized")

    def _require_change(self, request: Request, item: Item, given: list[str]) -> None:
        try:
            self.require(request, "update", item, given)
        except Forbidden:
            if self.forgets_sharing and not self._may(request, "get", {**item, "shared": False}):
                raise NotFound("The resource could not be found.") from None
            raise

    def target(self, item: Item) -> Item:
        """The item as policy sees it."""
        return _with_old_name(item)

    def _check_revision(self, request: Request, tx: Tx, key: str) -> None:
        """Hold `If-Match` against the row, if its revision is one that callers are told."""
        if "revision_number" in self.known:
            check_revision(request, tx, self.kind, key)

    def _check_parts(self, tx: Tx, ctx: Context, given: list[tuple[Row | None, Item]]) -> None:
        """Let the parts refuse, before anything is written, what was given of theirs."""
        for part, row, values in self._given_parts(given):
            part.check(tx, ctx, row, values)

    def _write_parts(self, tx: Tx, ctx: Context, given: list[tuple[Row, Item]]) -> None:
        """Let the parts write what was given of theirs, once the rows are there."""
        for part, row, values in self._given_parts(given):
            part.write(tx, ctx, row, values)

    def _given_parts(self, given: Sequence[tuple[Row | None, Item]]) -> Iterator[tuple[Part, Row | None, Item]]:
        for part in self.parts:
            for row, item in given:
                values = {name: item[name] for name in part.attributes if name in item}
                if values:
                    yield part, row, values

    def _begun(self, request: Request, tx: Tx, verb: str, words: Item) -> None:
        """Publish what was asked for, in the commit that does it."""
        topic, payload = events.begun(verb, self.name, words)
        request.cloud.outbox.publish(tx, topic, payload, request.request_id)

    def told(self, request: Request, tx: Tx, event: Callable[[str, Item], tuple[str, Item]], item: Item) -> Item:
        """Publish what happened to the item, in the commit that makes it happen."""
        whole = self.complete(request.cloud, _with_old_name(item))
        public = {name: value for name, value in whole.items() if name in self._answered or name == "id"}
        topic, payload = event(self.name, public)
        request.cloud.outbox.publish(tx, topic, payload, request.request_id)
        return item

    @cached_property
    def _answered(self) -> frozenset[str]:
        """Attributes that answers hold."""
        return frozenset(name for name, attribute in self.known.items() if attribute.shown) | {"tenant_id"}

    @cached_property
    def _guarded(self) -> tuple[str, ...]:
        """Attributes that policy may hide."""
        return tuple(name for name in self.known if f"get_{self.rule}:{name}" in RULES)

    def _may(self, request: Request, verb: str, item: Item) -> bool:
        return request.allows(f"{verb}_{self.rule}", self.target(item))

    def shown(self, request: Request, items: list[Item]) -> list[Item]:
        """The items without what policy hides from the caller or `fields` leaves out."""
        if not items:
            return []
        target = self.target(items[0])
        hidden = {name for name in self._guarded if not request.allows(f"get_{self.rule}:{name}", target)}
        fields = listing.chosen_fields(request) if request.method == "GET" else None
        return [
            {
                name: value
                for name, value in self.complete(request.cloud, _with_old_name(item)).items()
                if name in self._answered and name not in hidden and (fields is None or name in fields)
            }
            for item in items
        ]

    def _is_enforced(self, name: str, item: Item) -> bool:
        """Whether policy has to judge the attribute: it was given, and not as what it is anyway."""
        attribute = self.known[name]
        return attribute.enforce and (attribute.default in (REQUIRED, ABSENT) or item[name] != attribute.default)

    def _attribute_rules(self, verb: str, name: str, item: Item) -> list[str]:
        """The attribute's rule, and those of the parts of its value."""
        whole = f"{verb}_{self.rule}:{name}"
        parts: list[Any] = item[name] if isinstance(item[name], list) else [item[name]]
        keys = dict.fromkeys(str(key) for part in parts if isinstance(part, dict) for key in part)
        return [whole] + [f"{whole}:{key}" for key in keys if f"{whole}:{key}" in RULES]


def _with_old_name(item: Item) -> Item:
    """The item with `tenant_id` beside `project_id`."""
    return {**item, "tenant_id": item["project_id"]} if "project_id" in item else item


def worded(rule: str, parts: list[list[str]]) -> str:
    """The rules as Neutron joins them: each attribute's to all that came before."""
    text = f"rule:{rule}"
    for whole, *inner in parts:
        words = " and ".join(f"rule:{each}" for each in inner)
        text = f"({text} and (rule:{whole} and ({words})))" if inner else f"({text} and rule:{whole})"
    return text


def tell(cloud: Cloud, tx: Tx, hosts: set[str]) -> None:
    """Let the hosts that a change concerns catch up with it once it is committed."""
    cloud.contracts.use(Converger).tell(tx, hosts)


def check_revision(request: Request, tx: Tx, kind: type[Row], key: str) -> None:
    """Hold `If-Match: revision_number=N` against the row: of several writers who name it one wins."""
    said = request.headers.get("if-match")
    if said is None:
        return
    name, _, number = said.partition("=")
    if name.strip() != "revision_number" or not number.strip().isdecimal():
        raise bad("if-match", "revision_number=<int>")
    tx.lock(f"network:revision:{key}")
    row = store.find(tx, kind, key)
    current = getattr(row, "revision_number", None)
    if row is not None and int(number) != current:
        raise fault("RevisionNumberConstraintFailed", expected=int(number), current=current)
