# SPDX-License-Identifier: Apache-2.0
"""oslo.policy as the judge: what a rule says of a caller and a target, found without any code of ours."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_policy import policy

RULES = Path(__file__).parent / "rules"
SERVICES = ("identity", "image", "placement", "compute", "network", "block_storage", "key_manager")


@policy.register("field")
class FieldCheck(policy.Check):
    """Network's own sort of check: `field:RESOURCE:NAME=VALUE`, VALUE a word or `~` and a pattern."""

    def __call__(self, target: Mapping[str, Any], _creds: object, _enforcer: object, _rule: object = None) -> bool:
        name, _, wanted = self.match.partition(":")[2].rpartition("=")
        value = target.get(name)
        if value is None:
            return False
        if wanted.startswith("~"):
            return re.match(wanted[1:], str(value)) is not None
        return str(value) == wanted


class Judge:
    """The rules of one service, judged by oslo.policy, which holds callers to the scopes too."""

    def __init__(self, rules: Mapping[str, str], scopes: Mapping[str, Collection[str]]) -> None:
        conf = cfg.ConfigOpts()
        conf([], project="judge", default_config_files=[], default_config_dirs=[])
        self._enforcer = policy.Enforcer(conf, use_conf=False)
        for name, check in rules.items():
            allowed = sorted(scopes[name]) if name in scopes else None
            self._enforcer.register_default(policy.RuleDefault(name, check, scope_types=allowed))
        self._enforcer.set_rules(policy.Rules.from_dict(dict(rules)), use_conf=False)

    def allows(self, rule: str, target: Mapping[str, Any], credentials: Mapping[str, Any]) -> bool:
        """Whether the holder of the credentials passes the rule on the target, whose names may be dotted."""
        return bool(self._enforcer.enforce(rule, dict(target), dict(credentials)))


@cache
def facts(service: str) -> dict[str, dict[str, Any]]:
    """Upstream's rules of a service: name to `rule` and `scopes` (None: any)."""
    found: dict[str, dict[str, Any]] = json.loads((RULES / f"{service}.json").read_text())
    return found


@cache
def upstream(service: str) -> Judge:
    """The judge who has upstream's rules."""
    found = facts(service)
    scopes = {name: fact["scopes"] for name, fact in found.items() if fact["scopes"] is not None}
    return Judge({name: fact["rule"] for name, fact in found.items()}, scopes)
