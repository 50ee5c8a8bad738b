# SPDX-License-Identifier: Apache-2.0
"""The mapping engine: from what an identity provider says of somebody to a user, groups and projects.

A library without a database: `problems` judges a mapping's form, `evaluate` applies its rules. The language is that of
Keystone (schema versions 1.0, 2.0 and 3.0), with these differences, each in place of an error 500 there: a rule that
refers to a match that is not there, a broken regular expression and a broken list end in `NoMatch`; only `{}`, `{0}`
and doubled braces mean something in a text; a group's name may hold the word "name".
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

DEFAULT_VERSION = "1.0"
VERSIONS = ("1.0", "2.0", "3.0")
LOCAL, EPHEMERAL = "local", "ephemeral"

_CONDITIONS = ("any_one_of", "not_any_of")
_FILTERS = ("blacklist", "whitelist")
_LONGEST_LIST = 65_536  # characters of a text that is read as a list
_BRACES = re.compile(r"{{|}}|{(?P<number>[0-9]{0,4})}|[{}]")
_JSON = "JSON:"

_TEXT = {"type": "string"}
_DOMAIN = {"type": "object", "properties": {"id": _TEXT, "name": _TEXT}, "additionalProperties": False}


class NoMatch(Exception):
    """No rule applies, or what comes out of the rules is no identity; says why."""


class Mapped(msgspec.Struct, frozen=True):
    """What the rules made of an assertion.

    `user` holds id, name, email, domain (`{"id": ...}` or `{"name": ...}`) where the rules said them, and `type`.
    `group_names` are `{"name": ..., "domain": {...}}`, `projects` are `{"name": ..., "roles": [{"name": ...}]}`, some
    with a domain (None: the rules say nothing of projects).
    """

    user: dict[str, Any]
    kind: str
    group_ids: list[str]
    group_names: list[dict[str, Any]]
    projects: list[dict[str, Any]] | None


def problems(mapping: Mapping[str, Any]) -> list[str]:
    """What is wrong with the form of `{"rules": [...], "schema_version": ...}`, in the words of jsonschema."""
    version = mapping.get("schema_version", DEFAULT_VERSION)
    if version not in VERSIONS:
        return [f"{version!r} is not one of {list(VERSIONS)}"]
    return _judge(mapping, _schema(version))


def evaluate(
    rules: Iterable[Mapping[str, Any]], assertion: Mapping[str, str], version: str = DEFAULT_VERSION
) -> Mapped:
    """Apply `rules` to `assertion`, in whose texts `;` stands between several values. Raises NoMatch."""
    said = {name: text.split(";") for name, text in assertion.items()}
    found: list[dict[str, Any]] = []
    for rule in rules:
        matches = _match(rule["remote"], said)
        if matches is not None:
            found.extend(_fill(local, matches, version) for local in rule["local"])
    if not found:
        raise NoMatch(
            "Could not map any federated user properties to identity values. "
            "Check debug logs or the mapping used for additional details."
        )
    return _together(found, version)


def _match(requirements: Iterable[Mapping[str, Any]], said: Mapping[str, list[str]]) -> list[list[str]] | None:
    """The values that the rule's texts may refer to, in the order of its requirements; None where it does not apply."""
    matches: list[list[str]] = []
    for requirement in requirements:
        values = said.get(requirement["type"])
        if not values:
            return None
        condition = next((name for name in _CONDITIONS if name in requirement), None)
        if condition is not None:
            hit = any(_hits(requirement, condition, values))
            if hit != (condition == "any_one_of"):
                return None
            continue
        narrowed = next((name for name in _FILTERS if name in requirement), None)
        if narrowed is not None:
            hits = _hits(requirement, narrowed, values)
            kept = [value for value, hit in zip(values, hits, strict=True) if hit == (narrowed == "whitelist")]
            values = kept if narrowed == "whitelist" and requirement.get("regex", False) else list(dict.fromkeys(kept))
        matches.append(values)
    return matches


def _hits(requirement: Mapping[str, Any], name: str, values: Sequence[str]) -> list[bool]:
    listed = [wanted for wanted in requirement[name] if isinstance(wanted, str)]
    if not requirement.get("regex", False):
        return [value in listed for value in values]
    try:
        return [any(re.search(wanted, value) for wanted in listed) for value in values]
    except (re.error, RecursionError) as error:
        raise NoMatch(f"The mapping has a broken regular expression: {error}") from None


def _fill(local: Any, matches: list[list[str]], version: str) -> Any:
    """`local` with the matches in the places of its `{0}`, `{1}`..."""
    if isinstance(local, dict):
        whole = ("projects_json", "projects") if version == "3.0" else ()
        return {
            name: _projects_of(value, matches)
            if name in whole and isinstance(value, str)
            else _fill(value, matches, version)
            for name, value in local.items()
        }
    if isinstance(local, list):
        return [_fill(item, matches, version) for item in local]
    return _format(local, matches) if isinstance(local, str) else local


def _format(text: str, matches: list[list[str]]) -> str:
    counted = 0

    def put(found: re.Match[str]) -> str:
        nonlocal counted
        if found[0] in ("{{", "}}"):
            return found[0][0]
        if found["number"] is None:
            raise NoMatch("The mapping has a lone brace.")
        at = int(found["number"] or counted)
        counted += not found["number"]
        return _shown(_at(matches, at))

    return _BRACES.sub(put, text)


def _at(matches: list[list[str]], at: int) -> list[str]:
    if at >= len(matches):
        raise NoMatch("Local section in mapping refers to a remote match that doesn't exist.")
    return matches[at]


def _shown(values: list[str]) -> str:
    """One value as it is, several as the text of a list, which `_listed` reads again."""
    return values[0] if len(values) == 1 else str(values)


def _listed(text: str) -> list[Any]:
    """The items of a text that is a list, else the text itself alone."""
    if len(text) > _LONGEST_LIST:
        raise NoMatch("A list in the assertion is too long.")
    try:
        items = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return [text]
    return items if isinstance(items, list) else [text]


def _projects_of(text: str, matches: list[list[str]]) -> Any:
    """The projects that the match `{0}` spells as JSON."""
    place = re.match(r"{?([0-9]{1,4})}?", text)
    if place is None:
        raise NoMatch(f"The rule [{text}] for projects does not refer to a match.")
    try:
        projects = json.loads(_shown(_at(matches, int(place[1]))))
    except (ValueError, RecursionError):
        raise NoMatch("The projects in the assertion are no JSON.") from None
    if wrong := _judge(projects, _projects(with_domain=True)):
        raise NoMatch("\n".join(wrong))
    return projects


def _together(found: list[dict[str, Any]], version: str) -> Mapped:
    user: dict[str, Any] = {}
    group_ids: dict[str, None] = {}
    group_names: list[dict[str, Any]] = []
    projects: list[dict[str, Any]] | None = None
    for one in found:
        user = user or dict(one.get("user", {}))
        group = one.get("group", {})
        if "id" in group:
            group_ids[group["id"]] = None
        elif "name" in group:
            group_names.append(group)
        if "groups" in one:
            group_names.extend(_named_groups(one))
        if "group_ids" in one:
            group_ids.update((str(item), None) for item in _listed(one["group_ids"]))
        if "projects" in one or "projects_json" in one:
            projects = list(_with_domains(one, version))
    kind = user.get("type") or EPHEMERAL
    if kind not in (LOCAL, EPHEMERAL):
        raise NoMatch(f"User type {kind} not supported")
    if version != "1.0" and not user.get("domain") and found[-1].get("domain"):
        user["domain"] = found[-1]["domain"]
    return Mapped({**user, "type": kind}, kind, list(group_ids), _unique(group_names), projects)


def _named_groups(one: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for item in _listed(one["groups"]):
        group: Any = item
        if isinstance(item, str):
            group = _json(item) if item.startswith(_JSON) else {"name": item, "domain": one.get("domain")}
        if not isinstance(group, dict) or not isinstance(group.get("domain"), dict) or "name" not in group:
            raise NoMatch(f"Invalid rule: {dict(one)}. Both 'groups' and 'domain' keywords must be specified.")
        yield {"name": str(group["name"]), "domain": group["domain"]}


def _json(text: str) -> Any:
    try:
        return json.loads(text.removeprefix(_JSON))
    except (ValueError, RecursionError):
        raise NoMatch("A group in the assertion is no JSON.") from None


def _with_domains(one: Mapping[str, Any], version: str) -> Iterator[dict[str, Any]]:
    """The projects of one local rule, from version 2.0 on in the rule's domain unless they say their own."""
    for project in [*one.get("projects", ()), *one.get("projects_json", ())]:
        if version != "1.0" and not project.get("domain") and one.get("domain"):
            yield {**project, "domain": one["domain"]}
        else:
            yield dict(project)


def _unique(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [group for at, group in enumerate(groups) if group not in groups[:at]]


def _judge(value: Any, schema: dict[str, Any]) -> list[str]:
    import jsonschema  # only mappings that are registered, and projects in assertions, need it

    judge = jsonschema.Draft4Validator(schema)
    return [error.message for error in sorted(judge.iter_errors(value), key=str)]


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**found, "required": list(required)} if required else found


def _projects(*, with_domain: bool) -> dict[str, Any]:
    roles = {"type": "array", "items": _object({"name": _TEXT}, "name")}
    domain = {"domain": _DOMAIN} if with_domain else {}
    return {"type": "array", "items": _object({"name": _TEXT, "roles": roles, **domain}, "name", "roles")}


def _schema(version: str) -> dict[str, Any]:
    user = {
        "id": _TEXT,
        "name": _TEXT,
        "email": _TEXT,
        "domain": _DOMAIN,
        "type": {**_TEXT, "enum": [EPHEMERAL, LOCAL]},
    }
    by_id, by_name = _object({"id": _TEXT}, "id"), _object({"name": _TEXT, "domain": _DOMAIN}, "name", "domain")
    local = {
        "user": _object(user),
        "projects": _projects(with_domain=version != "1.0"),
        "group": {"type": "object", "oneOf": [by_id, by_name]},
        "groups": _TEXT,
        "group_ids": _TEXT,
        "domain": _DOMAIN,
    }
    if version == "3.0":
        local["projects_json"] = _TEXT
    listed = [
        _object({"type": _TEXT, name: {"type": "array"}, "regex": {"type": "boolean"}}, "type", name)
        for name in (*_CONDITIONS, *_FILTERS)
    ]
    remote = {"type": "object", "oneOf": [_object({"type": _TEXT}, "type"), *listed]}
    rule = _object(
        {
            "local": {"type": "array", "items": _object(local)},
            "remote": {"type": "array", "minItems": 1, "items": remote},
        },
        "local",
        "remote",
    )
    return {
        "type": "object",
        "required": ["rules"],
        "properties": {"rules": {"type": "array", "minItems": 1, "items": rule}, "schema_version": _TEXT},
    }
