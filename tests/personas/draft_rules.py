# SPDX-License-Identifier: Apache-2.0
"""Write the default policy rules of a real service as data: `python draft_rules.py nova.policies > rules/compute.json`.

To be run by a Python in whose environment the service is installed. Facts alone are taken: a rule's name, its check,
the scopes that it takes (null: any) and the operations that it guards, without the names of their paths' parameters
(`POST /servers/{}/action (reboot)`). The deprecated forms that upstream still ORs in by configuration are left out.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from typing import Any


def facts(rules: list[Any]) -> dict[str, dict[str, Any]]:
    """Rule names with their checks, scopes and operations."""
    return {
        rule.name: {
            "rule": rule.check_str,
            "scopes": sorted(rule.scope_types) if rule.scope_types else None,
            "operations": sorted(set(operations(rule))),
        }
        for rule in rules
    }


def operations(rule: Any) -> Iterator[str]:
    """`GET /servers/{}`, below the API's version."""
    for one in getattr(rule, "operations", ()):
        methods = [one["method"]] if isinstance(one["method"], str) else one["method"]
        path = re.sub(r"{[^}]*}", "{}", re.sub(r"^/?v\d(\.\d)?(?=/)", "", one["path"]))
        for method in methods:
            yield f"{method} {path}"


def main(module: str) -> int:
    """Print the facts, one rule a line, in order of their names."""
    found = facts(list(importlib.import_module(module).list_rules()))
    lines = (f" {json.dumps(name)}: {json.dumps(found[name])}" for name in sorted(found))
    sys.stdout.write("{\n" + ",\n".join(lines) + "\n}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
