# SPDX-License-Identifier: Apache-2.0
"""Bodies from a JSON schema: such as nearly fit, with hostile values here and there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from fuzz.hostile import NO_SUCH, RAW, VALUES

_FORMATS = {
    "uuid": NO_SUCH, "date-time": "2030-01-01T00:00:00Z", "uri": "http://localhost/", "base64": "eA==", "ipv4":
    "10.0.0.9", "ipv6": "fd00::9", "cidr": "10.0.0.0/24", "regex": "x.*", "email": "a@b.c",
    "mac-address": "fa:16:3e:00:00:01",
}  # fmt: skip
_TEXTS = ("x", "name", "1", NO_SUCH, "10.0.0.0/24", "default", "true", "ACTIVE", "x" * 255, "10.0.0.9", "http://a.b/")


class Writer:
    """Writes bodies by chance; the same seed writes the same ones."""

    def __init__(self, seed: object, known: Sequence[str]) -> None:
        """`known` are ids of things that are there."""
        self.random = Random(str(seed))
        self._known = known

    def body(self, schema: Mapping[str, Any] | None, sample: Any, action: str | None) -> bytes:
        """The bytes of a body; `sample` is one that is right, where somebody knows one."""
        dice = self.random.random()
        if dice < 0.08:
            return self.random.choice(RAW)
        if schema is not None and dice < 0.8:
            value = self.fitting(schema)
        elif sample is not None:
            value = json.loads(json.dumps(sample))
        else:
            value = {action: self.hostile()} if action else self.hostile()
        if self.random.random() < 0.7:
            value = self.spoiled(value)
        return json.dumps(value).encode()

    def hostile(self) -> Any:
        return self.random.choice(VALUES)

    def fitting(self, schema: Any, depth: int = 0) -> Any:
        """A value that the schema may well accept."""
        if not isinstance(schema, Mapping) or depth > 12:
            return self.hostile()
        for choice in ("oneOf", "anyOf"):
            if schema.get(choice):
                rest = {name: part for name, part in schema.items() if name != choice}
                return self._merged(self.fitting(self.random.choice(schema[choice]), depth + 1), rest, depth)
        if "enum" in schema:
            return self.random.choice(list(schema["enum"]))
        if "const" in schema:
            return schema["const"]
        for part in schema.get("allOf", ()):
            return self.fitting({**schema, **part, "allOf": schema["allOf"][1:]}, depth + 1)
        kinds = schema.get("type") or ("object" if "properties" in schema else "string")
        return self._of_kind(kinds if isinstance(kinds, str) else self.random.choice(list(kinds)), schema, depth)

    def _of_kind(self, kind: str, schema: Mapping[str, Any], depth: int) -> Any:
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                count = self.random.randint(schema.get("minItems", 0), max(schema.get("minItems", 0), 2))
                return [self.fitting(schema.get("items", {}), depth + 1) for _ in range(count)]
            case "integer" | "number":
                least = int(schema.get("minimum", -1))
                return self.random.choice([least, least + 1, min(int(schema.get("maximum", 100)), 2**40)])
            case "boolean":
                return self.random.random() < 0.5
            case "null":
                return None
        if self._known and self.random.random() < 0.3:
            return self.random.choice(self._known)
        return _FORMATS.get(schema.get("format", "")) or self.random.choice(_TEXTS)

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        needed = set(schema.get("required") or ())
        found = {
            name: self.fitting(part, depth + 1)
            for name, part in (schema.get("properties") or {}).items()
            if name in needed or self.random.random() < 0.4
        }
        for part in list((schema.get("patternProperties") or {}).values())[:1]:
            found[self.random.choice(["key", "VCPU", NO_SUCH, "CUSTOM_X"])] = self.fitting(part, depth + 1)
        return found

    def _merged(self, value: Any, rest: Mapping[str, Any], depth: int) -> Any:
        if isinstance(value, dict) and "properties" in rest:
            return {**self._object(rest, depth), **value}
        return (
            value if set(rest) <= {"description", "oneOf", "anyOf", "required"} or value else self.fitting(rest, depth)
        )

    def spoiled(self, value: Any) -> Any:
        """The value with one hostile thing somewhere in it."""
        dice = self.random.random()
        if isinstance(value, dict) and value and dice < 0.9:
            name = self.random.choice(list(value))
            if dice < 0.1:
                return {**value, self.random.choice(["", "x", "\x00", "id", "project_id"]): self.hostile()}
            if dice < 0.2:
                return {key: part for key, part in value.items() if key != name}
            return {**value, name: self.spoiled(value[name])}
        if isinstance(value, list) and value and dice < 0.8:
            at = self.random.randrange(len(value))
            return [*value[:at], self.spoiled(value[at]), *value[at + 1 :]]
        return self.hostile()
