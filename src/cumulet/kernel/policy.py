# SPDX-License-Identifier: Apache-2.0
"""Who may do what: a service's default rules with an operator's file over them, each check about a microsecond.

The language of the rules, and where it departs from oslo.policy's, stands in `kernel.rules`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from cumulet.kernel.rules import DEFAULT_RULE, Check, PolicyError, compile_rules, leaves, parse_rule, text_of

__all__ = ["Check", "Policy", "PolicyError"]

SYSTEM, DOMAIN, PROJECT = "system", "domain", "project"

_LOG = logging.getLogger(__name__)


class Policy:
    """The rules of one service: its defaults, and an operator's file over them.

    Checks may run in any thread while a file is loaded: they see the old rules or the new ones, never a mixture.
    """

    def __init__(self, defaults: Mapping[str, str], scopes: Mapping[str, Collection[str]] = {}) -> None:
        """Compile `defaults`, rule name to text. Raises PolicyError.

        `scopes` says which scopes a token may have for a rule (SYSTEM, DOMAIN, PROJECT; unscoped counts as PROJECT),
        whatever the rule itself says and an operator's file puts in its place; a rule that it does not name takes any.
        """
        self._defaults = dict(defaults)
        self._scopes = {name: frozenset(allowed) for name, allowed in scopes.items()}
        self._path: Path | None = None
        self._stamp: tuple[int, int, int] | None = None
        self.edition = 0  # grows whenever the rules change
        self._texts, self._checks = _compile(self._defaults)
        self._fallback = self._checks.get(DEFAULT_RULE)

    def load(self, path: Path) -> list[str]:
        """Put the rules of a `policy.yaml` or `.json` file over the defaults, instead of those of an earlier file.

        Returns a warning for each name that no default has and no rule refers to, and for each reference to nothing.
        Raises PolicyError, and leaves the old rules in force, when the file cannot be read or a rule not understood.
        """
        self._path = path
        self._stamp = _stamp(path)
        overrides = _read(path)
        texts, checks = _compile({**self._defaults, **overrides})
        self._texts, self._checks, self._fallback = texts, checks, checks.get(DEFAULT_RULE)
        self.edition += 1
        return list(_warnings(self._defaults, overrides))

    def reload_if_changed(self) -> bool:
        """Load the file again if it is not the one last seen; a file that is gone changes nothing.

        Warnings go to the log. Raises PolicyError once for each broken version of the file.
        """
        if self._path is None:
            return False
        stamp = _stamp(self._path)
        if stamp is None or stamp == self._stamp:
            return False
        for warning in self.load(self._path):
            _LOG.warning("%s: %s", self._path, warning)
        return True

    def allows(self, rule: str, target: Mapping[str, Any], credentials: Mapping[str, Any]) -> bool:
        """Whether `rule` lets the holder of `credentials` (`Context.credentials()`) act on `target`.

        `target` holds the object's attributes, nested or under dotted names (`target.user.id`). An unknown rule is
        the rule `default`, or denies.
        """
        allowed = self._scopes.get(rule)
        if allowed is not None and _scope(credentials) not in allowed:
            return False
        check = self._checks.get(rule, self._fallback)
        return check is not None and check(target, credentials)

    def rules(self) -> Mapping[str, str]:
        """The rules in force, as text."""
        return dict(self._texts)


def _scope(credentials: Mapping[str, Any]) -> str:
    if credentials.get("system_scope"):
        return SYSTEM
    return DOMAIN if credentials.get("domain_id") else PROJECT


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> dict[str, Any]:
    import yaml  # 40 ms that a cloud without overrides does not pay

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError, RecursionError) as error:
        raise PolicyError(f"{os.fspath(path)} cannot be read: {error}") from error
    if content is None:
        return {}
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise PolicyError(f"{os.fspath(path)} is not a table of rules by name")
    return content


def _warnings(defaults: Mapping[str, str], overrides: Mapping[str, Any]) -> Iterator[str]:
    nodes = {name: parse_rule(name, rule) for name, rule in {**defaults, **overrides}.items()}
    referred = {leaf.match for node in nodes.values() for leaf in leaves(node) if leaf.kind == "rule"}
    for name in overrides:
        if name not in defaults and name not in referred and name != DEFAULT_RULE:
            yield f"no such rule: {name}"
    for name in overrides:
        for leaf in leaves(nodes[name]):
            if leaf.kind == "rule" and leaf.match not in nodes:
                yield f"rule {name} refers to rule:{leaf.match}, which is not defined"


def _compile(rules: Mapping[str, Any]) -> tuple[dict[str, str], dict[str, Check]]:
    nodes = {name: parse_rule(name, rule) for name, rule in rules.items()}
    texts = {name: rules[name] if isinstance(rules[name], str) else text_of(node) for name, node in nodes.items()}
    return texts, compile_rules(nodes)
