# SPDX-License-Identifier: Apache-2.0
"""The choice of a host for a server: of what placement offers, what filters leave and weighers like best."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import cached_property

from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, NotFound, NotReady
from cumulet.services.compute.logic import hosts, offers, parts, volumes
from cumulet.services.compute.logic.guest import needs
from cumulet.services.compute.logic.scheduler import choice, filters_company
from cumulet.services.compute.logic.scheduler.asked import Asked, hinted
from cumulet.services.compute.logic.scheduler.choice import Verdicts
from cumulet.services.compute.logic.scheduler.place import Place
from cumulet.services.compute.store import hosts as store
from cumulet.services.compute.store import quotas as groups_store
from cumulet.services.compute.store import servers as servers_store
from cumulet.services.compute.types import ComputeHost, Flavor, Parts, Passed, Server, TaskState
from cumulet.services.network.contract import GivenDevice, NetworkContract, ResourceRequest
from cumulet.services.placement.contract import Candidate, PlacementContract, RequestGroup

# What refuses a host besides the filters.
PLACEMENT, ZONE, LINK, PARTS = "placement", "availability zone", "link", "parts of the host"
_ENABLED = "ComputeFilter"
_MOST_WAYS = 1000  # Nova's max_placement_results; ways multiply with the wires that each port may be on
# What happens in these loads the host's disks and network (nova.compute.stats).
_HEAVY = (
    TaskState.RESIZE_MIGRATING,
    TaskState.REBUILDING,
    TaskState.RESIZE_PREP,
    TaskState.IMAGE_SNAPSHOT,
    TaskState.IMAGE_BACKUP,
    TaskState.RESCUING,
    TaskState.UNSHELVING,
    TaskState.SHELVING,
)
# What may change between a choice and its claim, besides what placement counts.
_GROUPED = (filters_company.group_apart, filters_company.group_together)
_HINTS = ("different_host", "same_host")


class _Facts:
    """See `scheduler.place.Facts`."""

    def __init__(self, source: Source) -> None:
        self._source = source

    @cached_property
    def busy(self) -> dict[str, int]:
        return servers_store.busy_by_host(self._source, _HEAVY)

    def servers(self, host: str) -> list[Server]:
        return servers_store.on_host(self._source, host)

    @cached_property
    def held(self) -> dict[str, list[Parts]]:
        return parts.held_everywhere(self._source)


def choose(
    cloud: Cloud, server: Server, forced: str, avoid: Collection[str] = (), ports: Sequence[ResourceRequest] = ()
) -> Place:
    """A place for the server, to be claimed; on a host that has its volumes, where any of them will do.

    `ports` are what its ports ask of placement. With `forced` no other, and that one although it is disabled; never on
    a host to `avoid`. Conflict where no host will do (NoValidHost), NotReady where one would that is not connected now.
    """
    asked = _asked(cloud.db, cloud, server, ports)
    fitting = [each for each in _survey(cloud, asked, forced, ports).left if each.name not in avoid]
    if not fitting:
        raise no_valid_host()
    near = volumes.places(cloud, server)
    fitting = [each for each in fitting if each.name in near] or fitting
    up = [each for each in fitting if hosts.is_up(cloud, each.host)]
    if not up:
        raise NotReady("no host that could take the server is connected")
    return choice.best(up, asked)


def claim(
    cloud: Cloud, tx: Tx, server: Server, place: Place, ports: Sequence[ResourceRequest] = ()
) -> dict[str, GivenDevice]:
    """Hold what was chosen for the server; the devices that its ports are, by the ports' ids.

    NotReady where somebody else was quicker, or its ports ask for other things by now: another choice may do.
    """
    if ports and cloud.contracts.use(NetworkContract).resource_requests(tx, server.id) != list(ports):
        raise NotReady("the server's ports ask for something else meanwhile")
    asked = _asked(tx, cloud, server, _on_cards(cloud, tx, place.host, place.ways[0], ports))
    if not all(passes(place, asked) for passes in _GROUPED):
        raise NotReady("another server of its group has taken a host meanwhile")
    placement = cloud.contracts.use(PlacementContract)
    try:
        taken = parts.hold(cloud, tx, server, place.host, asked.parts, place.ways[0].allocations)
        placement.claim(tx, server.id, taken, server.project_id, server.user_id)
    except (Conflict, NotFound) as error:
        raise NotReady(f"the host was taken meanwhile: {error.message}") from error
    return _given(place.host, parts.of_ports(tx, server.id)) if any(each.device for each in ports) else {}


def refusals(cloud: Cloud, server: Server) -> dict[str, str]:
    """What would refuse the server at each host if it were placed now: a filter, placement, its zone; "" for nobody."""
    ports = cloud.contracts.use(NetworkContract).resource_requests(cloud.db, server.id)
    verdicts = _survey(cloud, _asked(cloud.db, cloud, server, ports), "", ports)
    found = {place.name: "" if hosts.is_up(cloud, place.host) else LINK for place in verdicts.left}
    return dict(sorted((found | verdicts.refused).items()))


def at_home(cloud: Cloud, server: Server, flavor: Flavor) -> Candidate:
    """What the server would claim of its own host with another flavor, beside what it holds; Conflict (NoValidHost)."""
    home = hosts.find(cloud.db, server.host)
    found = [] if home.disabled else _candidates(cloud, server, flavor, home.id)
    wanted = parts.of_server(cloud, server, flavor)
    if not found or (wanted and not parts.fits(home, parts.held_on(cloud.db, home.name), wanted)):
        raise no_valid_host()
    return found[0]


def no_valid_host() -> Conflict:
    return Conflict("No valid host was found. There are not enough hosts available.", code="NoValidHost")


def _given(host: ComputeHost, devices: Iterable[Passed]) -> dict[str, GivenDevice]:
    """What ports are told of the devices of the host that they are."""
    known = {each.address: each for each in offers.devices(host.capabilities)}
    return {
        each.port: GivenDevice(
            address=each.address,
            vendor_info=f"{known[each.address].vendor_id}:{known[each.address].product_id}",
            mac=known[each.address].mac,
        )
        for each in devices
        if each.address in known
    }


def _asked(source: Source, cloud: Cloud, server: Server, ports: Sequence[ResourceRequest]) -> Asked:
    group = groups_store.find_group(source, server.group_id) if server.group_id else None
    others = servers_store.in_group(source, group.id) if group is not None else []
    return Asked(
        server=server,
        flavor=server.kind,
        settings=cloud.settings.scheduler,
        group=group,
        members=[each.host for each in others if each.host and each.id != server.id],
        parts=parts.of_server(cloud, server, ports=ports),
        taken=_hosts_of(source, [each for name in _HINTS for each in hinted(server, name)]),
    )


def _survey(cloud: Cloud, asked: Asked, forced: str, ports: Sequence[ResourceRequest]) -> Verdicts:
    """All hosts: those that are left, and what refused each other one."""
    known = {host.id: host for host in store.find_all(cloud.db)}
    ways: dict[str, list[Candidate]] = {}
    for each in _candidates(cloud, asked.server, asked.flavor, ports=ports):
        ways.setdefault(each.root, []).append(each)
    inside = _zone(cloud.db, asked.server)
    refused: dict[str, str] = {}
    looked_at: list[ComputeHost] = []
    for host in known.values():
        if forced and host.name != forced:
            refused[host.name] = "another host was asked for"
        elif host.id not in ways:
            refused[host.name] = PLACEMENT
        elif inside is not None and host.name not in inside:
            refused[host.name] = ZONE
        else:
            looked_at.append(host)
    without = {_ENABLED} if forced else set()
    verdicts = choice.judge(_places(cloud, looked_at, ways), asked, without=without)
    return _with_parts(cloud, Verdicts(verdicts.left, refused | verdicts.refused), asked, ports)


def _with_parts(cloud: Cloud, verdicts: Verdicts, asked: Asked, ports: Sequence[ResourceRequest]) -> Verdicts:
    """Without the places that lack parts which the server wants, though no filter that is on asks for them.

    Of the ways to be at a place those are left in which ports are devices of the cards that promise them something.
    """
    if not asked.parts:
        return verdicts
    for place in verdicts.left:
        place.ways = [way for way in place.ways if _fits(cloud, place, way, asked, ports)]
    left = [place for place in verdicts.left if place.ways]
    lacking = {place.name: PARTS for place in verdicts.left if place not in left}
    return Verdicts(left, verdicts.refused | lacking)


def _fits(cloud: Cloud, place: Place, way: Candidate, asked: Asked, ports: Sequence[ResourceRequest]) -> bool:
    settled = _on_cards(cloud, cloud.db, place.host, way, ports)
    wanted = asked.parts if settled == ports else parts.of_server(cloud, asked.server, asked.flavor, settled)
    return parts.fits(place.host, place.held, wanted)


def _on_cards(
    cloud: Cloud, source: Source, host: ComputeHost, way: Candidate, ports: Sequence[ResourceRequest]
) -> Sequence[ResourceRequest]:
    """What ports ask for, where a way settles which cards the devices are of that they are to be."""
    if not any(each.device is not None and each.groups for each in ports):
        return ports
    below = cloud.contracts.use(PlacementContract).providers_below(source, host.id)
    return cloud.contracts.use(NetworkContract).on_cards(list(ports), below, way.mappings)


def _places(cloud: Cloud, found: list[ComputeHost], ways: dict[str, list[Candidate]]) -> list[Place]:
    aggregates, facts = store.aggregates(cloud.db), _Facts(cloud.db)
    rooms = cloud.contracts.use(PlacementContract).room(cloud.db, [host.id for host in found]) if len(found) > 1 else {}
    return [
        Place(
            host,
            ways[host.id],
            [each for each in aggregates if host.name in each.hosts],
            rooms.get(host.id, {}),
            facts,
        )
        for host in found
    ]


def _candidates(
    cloud: Cloud, server: Server, flavor: Flavor, inside: str | None = None, ports: Sequence[ResourceRequest] = ()
) -> list[Candidate]:
    """Where a server of the flavor with such ports could be, or in what ways below the provider `inside`."""
    traits = {key[6:]: value for key, value in flavor.extra_specs.items() if key[:6] == "trait:"}
    words = server.image.get("properties", {})
    wanted = needs.claim(flavor, words, with_disk=bool(server.image_id))
    return cloud.contracts.use(PlacementContract).candidates(
        cloud.db,
        wanted,
        required={name for name, value in traits.items() if value == "required"} | needs.traits(flavor, words),
        forbidden={name for name, value in traits.items() if value == "forbidden"}
        | needs.unwanted_traits(flavor, words),
        in_tree=inside,
        limit=_MOST_WAYS if ports else None,
        groups=groups_of(ports),
        same_subtrees=[list(each.groups) for each in ports],
    )


def groups_of(ports: Sequence[ResourceRequest]) -> dict[str, RequestGroup]:
    """What ports ask for, in placement's words."""
    return {
        key: RequestGroup(resources=group.resources, required=group.required)
        for each in ports
        for key, group in each.groups.items()
    }


def _zone(source: Source, server: Server) -> set[str] | None:
    """The hosts of the zone that was asked for; None where none was."""
    zone = server.availability_zone
    return None if zone is None else {host.name for host in hosts.zones(source).get(zone, [])}


def _hosts_of(source: Source, server_ids: Iterable[str]) -> dict[str, str]:
    found = {server_id: servers_store.find(source, server_id) for server_id in server_ids}
    return {server_id: server.host for server_id, server in found.items() if server is not None and server.host}
