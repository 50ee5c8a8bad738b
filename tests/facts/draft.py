# SPDX-License-Identifier: Apache-2.0
"""Make facts of an OpenAPI description: `python tests/facts/draft.py compute=compute.yaml network=network.yaml`.

Kept are names, paths, methods, operation ids, actions, microversions, and the schemas of requests' bodies and queries:
types, bounds, patterns, enumerations. All prose is dropped: descriptions, summaries, titles, examples, and answers.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

DATA = Path(__file__).parent / "data"
METHODS = ("get", "head", "post", "put", "patch", "delete")
KEPT = frozenset(
    {
        *(
            "type",
            "properties",
            "required",
            "enum",
            "const",
            "minimum",
            "maximum",
            "minLength",
            "maxLength",
            "minItems",
        ),
        *("maxItems", "minProperties", "maxProperties", "pattern", "format", "items", "additionalProperties", "not"),
        *("patternProperties", "oneOf", "anyOf", "allOf", "uniqueItems", "exclusiveMinimum", "exclusiveMaximum"),
        *("multipleOf", "dependentRequired"),
    }
)
DEEPEST = 40
BOOLEAN = "tag:yaml.org,2002:bool"


class Loader(yaml.CSafeLoader):
    """Reads YAML 1.2, in which `on`, `off`, `yes` and `no` are words and no booleans."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != BOOLEAN]
    for first, known in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver(BOOLEAN, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


class Description:
    """One OpenAPI document."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def operations(self) -> dict[str, Any]:
        """The operations by method and path: `POST /servers/{}/action (reboot)`."""
        found: dict[str, Any] = {}
        for path, item in self._document["paths"].items():
            shared = item.get("parameters", [])
            for method in METHODS:
                if method in item:
                    self._add(found, f"{method.upper()} {_plain(path)}", item[method], shared)
        return dict(sorted(found.items()))

    def _add(self, found: dict[str, Any], name: str, operation: Mapping[str, Any], shared: list[Any]) -> None:
        fact: dict[str, Any] = {"id": operation.get("operationId", "")}
        if versions := _versions(operation):
            fact |= versions
        queries = [self._resolved(one) for one in [*shared, *operation.get("parameters", [])]]
        if query := sorted({one["name"] for one in queries if one["in"] == "query"}):
            fact["query"] = query
        content = self._resolved(operation.get("requestBody", {})).get("content", {})
        body = content.get("application/json", {}).get("schema")
        forms = [form for form in self._forms(body, {}) if not _says_nothing(name, *form)] if body else []
        actions: dict[str, list[Any]] = {}
        for action, form in forms:
            actions.setdefault(action, []).append(form)
        for action, bodies in actions.items():
            key = f"{name} ({action})" if action else name
            found[key] = {**fact, "bodies": bodies}
        if not forms:
            found[name] = fact

    def _forms(self, schema: Any, marks: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
        """The schema's forms by action, each with the microversions at which it is meant."""
        schema = self._resolved(schema)
        said = schema.get("x-openstack", {})
        marks = {**marks, **_versions(schema)}
        if "action-name" in said:
            marks["action"] = said["action-name"]
        if said.get("discriminator") in ("action", "microversion"):
            for part in schema.get("oneOf", []):
                yield from self._forms(part, marks)
            return
        plain = {name: value for name, value in marks.items() if name != "action"}
        yield marks.get("action", ""), {**plain, "schema": self._stripped(schema)}

    def _stripped(self, schema: Any, depth: int = 0) -> Any:
        if isinstance(schema, bool) or depth > DEEPEST:
            return {}
        schema = self._resolved(schema)
        found: dict[str, Any] = {}
        for word, value in schema.items():
            if word not in KEPT:
                continue
            match word:
                case "properties" | "patternProperties":
                    found[word] = {name: self._stripped(part, depth + 1) for name, part in value.items()}
                case "oneOf" | "anyOf" | "allOf":
                    found[word] = [self._stripped(part, depth + 1) for part in value]
                case "items" | "not":
                    found[word] = self._stripped(value, depth + 1)
                case "additionalProperties":
                    found[word] = value if isinstance(value, bool) else self._stripped(value, depth + 1)
                case _:
                    found[word] = value
        return found

    def _resolved(self, part: Any) -> Any:
        while isinstance(part, Mapping) and "$ref" in part:
            target: Any = self._document
            for step in part["$ref"].removeprefix("#/").split("/"):
                target = target[step]
            part = target
        return part


def _says_nothing(name: str, action: str, form: Mapping[str, Any]) -> bool:
    """Whether a form stands for an operation that is not described: named after its method, and any object at all."""
    return action == name.partition(" ")[0] and form["schema"] == {"type": "object"}


def _versions(part: Mapping[str, Any]) -> dict[str, str]:
    said = part.get("x-openstack", {})
    return {name: str(said[key]) for name, key in (("since", "min-ver"), ("until", "max-ver")) if said.get(key)}


def _plain(path: str) -> str:
    """A path below the API's version, without the names of its parameters."""
    short = re.sub(r"^/v\d(\.\d+)?(/{project_id}(?=/))?(?=/|$)", "", path)
    return re.sub(r"{[^}]*}", "{}", short).rstrip("/") or "/"


def main(words: list[str]) -> int:
    """Write `data/SERVICE.json` for each `SERVICE=FILE`, one operation a line."""
    for word in words:
        service, _, path = word.partition("=")
        found = Description(yaml.load(Path(path).read_text(), Loader=Loader)).operations()
        lines = (f" {json.dumps(name)}: {json.dumps(fact, separators=(',', ':'))}" for name, fact in found.items())
        (DATA / f"{service}.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")
        sys.stdout.write(f"{service}: {len(found)} operations\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
