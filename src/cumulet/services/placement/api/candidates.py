# SPDX-License-Identifier: Apache-2.0
"""`/allocation_candidates`"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.errors import Invalid, NotFound
from cumulet.kernel.http import Reply, Request
from cumulet.services.placement.api import candidate_views, parameters
from cumulet.services.placement.api.views import check_query, getter, query_schema, reply
from cumulet.services.placement.logic import candidates as logic
from cumulet.services.placement.logic.memory import Memory
from cumulet.services.placement.logic.search import Group, Query
from cumulet.services.placement.types import MAX_INT

_TEXT = {"type": "string"}
_GROUPED = ("resources", "required", "member_of", "in_tree")
_NUMBER = "[1-9][0-9]*"  # how groups are told apart until 1.32, and since
_WORD = "[a-zA-Z0-9_-]{1,64}"
_KEY = {False: re.compile(f"({'|'.join(_GROUPED)})({_NUMBER})?"), True: re.compile(f"({'|'.join(_GROUPED)})({_WORD})?")}


def _patterns(names: Iterable[str], suffix: str, **marks: Any) -> dict[str, Any]:
    return {f"^{name}({suffix})?$": {**_TEXT, **marks} for name in names}


_LIMIT = {"type": ["integer", "string"], "pattern": "^[1-9][0-9]*$", "minimum": 1, "minLength": 1, "since": (1, 16)}
_ONE_GROUP = query_schema(
    {
        "resources": _TEXT,
        "limit": _LIMIT,
        "required": {**_TEXT, "since": (1, 17)},
        "member_of": {**_TEXT, "since": (1, 21)},
    },
    required=["resources"],
)
_GROUPS = query_schema(
    {
        "limit": _LIMIT,
        "group_policy": {**_TEXT, "enum": ["none", "isolate"]},
        "root_required": {**_TEXT, "since": (1, 35)},
        "same_subtree": {**_TEXT, "since": (1, 36)},
    },
    patternProperties={
        **_patterns(("resources", "required", "member_of"), _NUMBER, until=(1, 32)),
        **_patterns(("in_tree",), _NUMBER, since=(1, 31), until=(1, 32)),
        **_patterns(_GROUPED, _WORD, since=(1, 33)),
    },
)


def find_all(request: Request) -> Reply:
    check_query(request, _GROUPS if request.version >= (1, 25) else _ONE_GROUP)
    query = _query(request)
    try:
        logic.check(request.cloud.db, query)
    except NotFound as error:
        about = "" if error.code == "TraitNotFound" else "Invalid resource class in resources parameter: "
        raise Invalid(about + error.message) from error
    settings = request.cloud.settings.placement
    most = settings.max_allocation_candidates
    order = logic.Order(
        most=None if most < 0 else most,
        breadth_first=settings.allocation_candidates_generation_strategy == "breadth-first",
        shuffled=settings.randomize_allocation_candidates,
    )
    answer = logic.find(request.cloud.keep(Memory), request.cloud.db, query, order)
    return reply(request, 200, candidate_views.body(request, query, answer))


def _query(request: Request) -> Query:
    root_required, root_forbidden = _root_traits(request)
    same_subtrees = _same_subtrees(request)
    groups = _groups(request)
    if request.version >= (1, 36):
        _check_subtrees(groups, frozenset().union(*same_subtrees))
    else:
        _check_resources(groups)
    if request.version >= (1, 22):
        _check_traits(groups)
    policy = parameters.values(request, "group_policy")
    if not policy and sum(1 for suffix in groups if suffix) > 1:
        raise Invalid(
            'The "group_policy" parameter is required when specifying more than one "resources{N}" parameter.'
        )
    limits = parameters.values(request, "limit")
    return Query(
        groups,
        isolate=policy[:1] == ["isolate"],
        root_required=root_required,
        root_forbidden=root_forbidden,
        same_subtrees=same_subtrees,
        nested=request.version >= (1, 29),
        limit=min(int(limits[0]), MAX_INT) if limits else None,
    )


def _root_traits(request: Request) -> tuple[frozenset[str], frozenset[str]]:
    given = parameters.values(request, "root_required")
    if not given:
        return frozenset(), frozenset()
    if len(given) > 1:
        raise Invalid("Query parameter 'root_required' may be specified only once.", code="DuplicateParameter")
    if given[0].startswith("in:"):
        raise Invalid(
            "Invalid query string parameters: The format 'in:HW_CPU_X86_VMX,CUSTOM_MAGIC' only supported since "
            f"microversion 1.39. Got: {given[0]}"
        )
    required, forbidden = parameters.all_of(given[0], may_forbid=True)
    conflicts = forbidden.intersection(required)
    if conflicts:
        names = ", ".join(sorted(conflicts))
        raise Invalid(f"Conflicting required and forbidden traits found in root_required: {names}", code="BadValue")
    return frozenset(required), forbidden


def _same_subtrees(request: Request) -> list[frozenset[str]]:
    found = [
        frozenset(suffix.strip() for suffix in text.split(",")) for text in parameters.values(request, "same_subtree")
    ]
    if any("" in suffixes for suffixes in found):
        raise Invalid("Empty string (unsuffixed group) can not be specified in `same_subtree` ", code="BadValue")
    return found


def _groups(request: Request) -> dict[str, Group]:
    pattern = _KEY[request.version >= (1, 33)]
    matches = (pattern.fullmatch(name) for name, _ in request.query_pairs)
    suffixes = dict.fromkeys(match[2] or "" for match in matches if match is not None)
    return {suffix: _group(request, suffix) for suffix in suffixes}


def _group(request: Request, suffix: str) -> Group:
    resources = request.query.get(f"resources{suffix}")
    required, forbidden = parameters.traits(request, suffix)
    member_of, not_member_of = parameters.aggregates(request, suffix)
    in_tree = request.query.get(f"in_tree{suffix}")
    if in_tree is not None and not ids.is_uuid(in_tree.strip()):
        raise Invalid(
            f"Invalid query string parameters: Expected 'in_tree' parameter to be a format of uuid. Got: {in_tree}"
        )
    return Group(
        parameters.resources(resources) if resources is not None else {},
        required,
        forbidden,
        member_of,
        not_member_of,
        in_tree.strip() if in_tree is not None else None,
    )


def _check_subtrees(groups: dict[str, Group], in_subtrees: frozenset[str]) -> None:
    """From 1.36 on a group without resources has a meaning if its place is fixed by `same_subtree`."""
    empty = [suffix for suffix, group in groups.items() if not group.resources]
    if len(empty) == len(groups):
        raise Invalid("There must be at least one resources or resources[$S] parameter.", code="MissingValue")
    lost = [suffix for suffix in empty if suffix not in in_subtrees]
    if lost:
        raise Invalid(
            "Resourceless suffixed group request should be specified in `same_subtree` query param: "
            f"bad group(s) - {lost}.",
            code="BadValue",
        )
    unknown = [suffix for suffix in sorted(in_subtrees) if suffix not in groups]
    if unknown:
        raise Invalid(
            f"Real suffixes should be specified in `same_subtree`: {unknown} not found in {list(groups)}.",
            code="BadValue",
        )


def _check_resources(groups: dict[str, Group]) -> None:
    empty = {suffix: group for suffix, group in groups.items() if not group.resources}
    orphans = [f"required{suffix}" for suffix, group in empty.items() if group.required]
    if orphans:
        raise Invalid(
            "All traits parameters must be associated with resources.  Found the following orphaned traits keys: "
            + ", ".join(orphans)
        )
    orphans = [f"member_of{suffix}" for suffix, group in empty.items() if group.member_of or group.not_member_of]
    if orphans:
        raise Invalid(
            "All member_of parameters must be associated with resources. Found the following orphaned member_of keys: "
            + ", ".join(orphans)
        )
    if empty:
        raise Invalid("All request groups must specify resources.")
    if not groups:
        raise Invalid("At least one request group (`resources` or `resources{$S}`) is required.")


def _check_traits(groups: dict[str, Group]) -> None:
    conflicts = sorted(
        f"required{suffix}: ({', '.join(sorted(names))})"
        for suffix, group in groups.items()
        for names in group.required
        if names <= group.forbidden
    )
    if conflicts:
        raise Invalid(
            f"Conflicting required and forbidden traits found in the following traits keys: {', '.join(conflicts)}"
        )


ROUTES = (getter("/allocation_candidates", find_all, "placement:allocation_candidates:list", since=(1, 10)),)
