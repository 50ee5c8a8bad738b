# SPDX-License-Identifier: Apache-2.0
"""What each persona is to be told at each route: worked out from the declared rules by oslo.policy."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from cumulet.kernel.http.routes import ANYONE, PUBLIC, Route
from personas import oracle
from personas.cast import Persona
from personas.stage import Prop
from support import yaml_files

THROUGH = "let through"
_WITHOUT_PROJECT = [
    *("domain_admin", "domain_manager", "domain_reader", "abroad_domain_manager"),
    *("system_admin", "system_reader", "unscoped"),
]
_ADMINS = ["admin", "other_admin", "domain_admin", "system_admin"]
_NO_ADMINS = [
    *("manager", "member", "reader", "other_member", "abroad_manager", "service"),
    *("domain_manager", "domain_reader", "abroad_domain_manager", "system_reader", "unscoped"),
]
_GROUPS = {"everybody": [*_ADMINS, *_NO_ADMINS], "without_project": _WITHOUT_PROJECT, "no_admins": _NO_ADMINS}
CALLER = "$caller"
UNKNOWN, REFUSED, HIDDEN = 401, 403, 404

_TABLE: dict[str, Any] = yaml_files.read(Path(__file__).parent / "routes.yaml")
_SERVICE = re.compile(r"^(qos|metering|log)/")  # what stands before some collections of the network
_TAGS = re.compile(r"/tags(/{tag})?$")
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "DELETE": "delete"}


def name_of(route: Route) -> str:
    """`POST /servers/{server_id}/action reboot`"""
    return f"{route.method} {route.path} {route.action or ''}".strip()


def said(service: str, what: str, route: Route) -> Any:
    """What `routes.yaml` says of a route under `rules`, `bodies` and so on; None where it says nothing."""
    said = _TABLE.get(service, {}).get(what) or {}
    name = name_of(route)
    return said.get(name) or next((said[key] for key in said if re.fullmatch(key, name)), None)


def uses_up(service: str, route: Route) -> bool:
    """Whether the route leaves nothing of what its path names."""
    return name_of(route) in (_TABLE.get(service, {}).get("uses_up") or ())


def exceptions(service: str, route: Route) -> dict[str, Any]:
    """The personas whose verdict is not the rule's, with it: a status or `through`; the reason stands in the file."""
    found: dict[str, Any] = {}
    for entry in _TABLE.get(service, {}).get("exceptions") or ():
        if re.fullmatch(entry["routes"], name_of(route)):
            found |= dict.fromkeys(
                _people(entry["personas"]), THROUGH if entry["verdict"] == "through" else entry["verdict"]
            )
    return found


def _people(named: str | list[str]) -> Sequence[str]:
    return _GROUPS[named] if isinstance(named, str) else named


PARTS = ("rules", "bodies", "queries", "headers", "targets", "other_rules", "uses_up")


def unused(service: str, routes: Sequence[Route], parts: Sequence[str] = PARTS) -> list[str]:
    """What `routes.yaml` says of routes that are not among those given."""
    table = _TABLE.get(service, {})
    patterns = [one for part in parts for one in table.get(part) or ()]
    if parts is PARTS:
        patterns += [entry["routes"] for entry in table.get("exceptions") or ()]
    names = [name_of(route) for route in routes]
    return [one for one in patterns if not any(one == name or re.fullmatch(one, name) for name in names)]


@cache
def judge(service: str) -> oracle.Judge:
    """oslo.policy with the rules and scopes that the service declares."""
    room = import_module(f"cumulet.services.{service}.policy")
    return oracle.Judge(room.RULES, getattr(room, "SCOPES", {}))


@dataclass(frozen=True)
class Case:
    """One route with what its path and body name."""

    service: str
    route: Route
    prop: Prop
    body: Any
    named: Mapping[str, Any] = field(default_factory=dict)  # what `routes.yaml` says of the target

    def verdict(self, who: Persona) -> Any:
        """THROUGH, or the status of the refusal."""
        if self.route.rule == PUBLIC:
            return THROUGH
        if who.credentials is None:
            return UNKNOWN
        rules = rules_of(self.service, self.route)
        if all(self._allows(rule, who) for rule in rules):
            return HIDDEN if self._is_strange(who) and "target" not in self.prop else THROUGH
        return HIDDEN if self._hides(who, rules) else REFUSED

    def _allows(self, rule: str, who: Persona) -> bool:
        assert who.credentials is not None
        return judge(self.service).allows(rule, flat(self.target(who)), who.credentials)

    def target(self, who: Persona) -> dict[str, Any]:
        """What the rule is judged on: the thing of the path, what the body describes, or something of the caller's."""
        assert who.credentials is not None
        caller = {name: who.credentials[name] for name in ("project_id", "tenant_id", "user_id", "domain_id")}
        caller["owner"] = caller["project_id"]
        if self.service == "identity":
            return self._identity_target(who)
        return {**caller, **self.prop.get("target", {}), **self.named}

    def _identity_target(self, who: Persona) -> dict[str, Any]:
        assert who.credentials is not None
        inner = dict(self.prop.get("target", {}))
        domain = who.credentials["domain_id"]
        if not self.prop and self.route.method == "GET" and domain is not None:
            inner |= {"domain_id": domain, "domain": {"id": domain}, "group": {"domain_id": domain}}
        if isinstance(self.body, dict) and not self.prop:
            inner |= {name: words for name, words in self.body.items() if isinstance(words, dict)}
        inner |= {name: self._of(who, words) for name, words in self.named.items()}
        owner = self.prop.get("user_id")
        return {"target": inner, **({"user_id": owner} if owner else {})}

    @staticmethod
    def _of(who: Persona, words: Mapping[str, Any]) -> dict[str, Any]:
        assert who.credentials is not None
        return {name: who.credentials["user_id"] if value == CALLER else value for name, value in words.items()}

    def _hides(self, who: Persona, rules: list[str]) -> bool:
        """Whether a caller who is refused must not learn that the thing is there."""
        if "target" not in self.prop:
            return False  # the rule is judged before the thing is looked for
        match self.service:
            case "network":
                # The first of the rules that are derived is to see it.
                return rules == network_rules(self.route) and not self._allows(rules[0], who)
            case "image":
                return self._is_strange(who) or not self._allows("get_image", who)
        return self._is_strange(who)

    def _is_strange(self, who: Persona) -> bool:
        """Whether the thing belongs to projects that are not the caller's."""
        owners = self.prop.get("hidden_but_from")
        return owners is not None and not who.is_admin and who.project_id not in owners


def rules_of(service: str, route: Route) -> list[str]:
    """The rules that a caller must pass at a route: its own, or those that its handler judges; none for anyone."""
    named = said(service, "rules", route)
    if named is not None:
        return [named] if isinstance(named, str) else list(named)
    if route.rule not in (ANYONE, PUBLIC):
        return [route.rule]
    return network_rules(route) if service == "network" and route.rule == ANYONE else []


def network_rules(route: Route) -> list[str]:
    """Network's rules, which are named after the verb and the resource; whoever may change must be able to see."""
    collection, *rest = _SERVICE.sub("", route.path.strip("/")).split("/")
    kind = _one(collection)
    if not rest:
        return [] if route.method == "GET" else [f"create_{kind}"]
    if collection in ("extensions", "quotas"):
        return []
    if len(rest) > 3:
        return [f"get_{kind}", rest[3]]
    if len(rest) > 1 and rest[0] != "{id}":
        return _rules_under(kind, f"{kind}_{_one(rest[1])}", route, len(rest) > 2)
    if _TAGS.search(route.path):
        return [f"get_{kind}", f"{_VERBS[route.method]}_{kind}:tags"]
    if len(rest) > 1:
        return [f"get_{kind}", rest[1]]
    verb = _VERBS[route.method]
    return [f"get_{kind}"] if verb == "get" else [f"get_{kind}", f"{verb}_{kind}"]


def _rules_under(kind: str, child: str, route: Route, is_one: bool) -> list[str]:
    """The rules of what lives under another resource, which must be seen first."""
    verb = _VERBS[route.method]
    if not is_one:
        return [f"get_{kind}"] if verb == "get" else [f"get_{kind}", f"{verb}_{child}"]
    return [f"get_{child}"] if verb == "get" else [f"get_{child}", f"{verb}_{child}"]


def _one(collection: str) -> str:
    """A collection's name in the singular."""
    name = collection.replace("-", "_")
    if name.endswith("ies"):
        return name.removesuffix("ies") + "y"
    return name if name.endswith("ss") else name.removesuffix("s")


def flat(target: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The target under dotted names, as identity hands it to oslo.policy."""
    found: dict[str, Any] = {}
    for name, value in target.items():
        found.update(flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {prefix + name: value})
    return found
