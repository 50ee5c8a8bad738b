# SPDX-License-Identifier: Apache-2.0
"""JSON Schema as the contract of a request: what is accepted, and the words of a refusal.

fastjsonschema accepts; what it does not accept is only suspect, and jsonschema, which OpenStack runs, rules and finds
the words. Both know the same formats (`kernel.formats`) and read numbers in texts where a schema has `minimum` or
`maximum`, as OpenStack does. How a document changes with the microversion: `kernel.projection`.
"""

from __future__ import annotations

import re
import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

import fastjsonschema

from cumulet.kernel.errors import Invalid
from cumulet.kernel.formats import FORMATS
from cumulet.kernel.projection import Version, boundaries, project
from cumulet.kernel.redact import MASK, is_secret_name, redact

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

# Which JSON Schema a service runs: block storage draft 4, the others 2020-12. What differs for requests is whether 1.0
# is an integer (not in draft 4).
Draft = Literal["2020-12", "draft-04"]

_FAST_DRAFTS = {
    "2020-12": "https://json-schema.org/draft/2019-09/schema",
    "draft-04": "http://json-schema.org/draft-04/schema",
}
# What fastjsonschema reads otherwise than jsonschema, and no request of OpenStack's needs.
_UNKNOWN = frozenset(
    {"additionalItems", "$ref", "$dynamicRef", "unevaluatedProperties", "unevaluatedItems", "id", "$id"}
)
_NAMED = frozenset({"properties", "patternProperties", "definitions", "$defs", "dependentSchemas", "dependencies"})


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a body was refused: `path` leads to `value`, `detail` says what is wrong with it, secrets masked.

    `report` is jsonschema's long form, with the rule and the value, which identity and placement show; it is `detail`
    where a secret would be in it. `says` is a format's own whole sentence, or empty.
    """

    path: tuple[str | int, ...]
    value: Any
    detail: str
    report: str
    says: str = ""


@dataclass(frozen=True, slots=True)
class Phrase:
    """How a service words a refusal: `say` makes the sentence.

    Of several faults, services name the one that their validator meets first, in the order of the schema's keywords and
    properties (so keep OpenStack's order in a document); with `best`, the one that jsonschema takes for most relevant.
    """

    say: Callable[[Refusal], str]
    best: bool = False


def _field(what: str, index: int) -> Callable[[Refusal], str]:
    def phrase(refusal: Refusal) -> str:
        if refusal.says or not refusal.path:
            return refusal.says or refusal.detail
        return f"Invalid input for {what} {refusal.path[index]}. Value: {refusal.value}. {refusal.detail}"

    return phrase


def _whole_path(refusal: Refusal) -> str:
    if not refusal.path:
        return refusal.report
    return f"Invalid input for field '{'/'.join(map(str, refusal.path))}': {refusal.report}"


# Compute and block storage: the last name of the path, the value, what is wrong.
in_body = Phrase(_field("field/attribute", -1))
# Compute on a query, whose parameters are lists: the first name of the path.
in_query = Phrase(_field("query parameters", 0))
# Identity: the whole path and the long form.
in_full = Phrase(_whole_path)
# Placement, after its `JSON does not validate: `: the long form alone.
as_report = Phrase(lambda refusal: refusal.report, best=True)


class Schema:
    """One JSON schema, possibly with parts marked by microversion; compiled at first use, once a distinct form."""

    def __init__(self, document: Mapping[str, Any], *, draft: Draft = "2020-12", phrase: Phrase = in_body) -> None:
        """Raises ValueError for a format not in `FORMATS` and for keywords that the validators read differently."""
        self.document = document
        self._draft: Draft = draft
        self._phrase = phrase
        self._boundaries = boundaries(document)
        self._forms: list[_Form | None] = [None] * (len(self._boundaries) + 1)
        self._newest: _Form | None = None
        self._lock = threading.Lock()
        _inspect(document, _UNKNOWN if draft == "2020-12" else _UNKNOWN | {"prefixItems"})

    def check(self, body: Any, version: Version | None = None) -> None:
        """Accept a parsed JSON value as it is at `version` (None: the newest) or raise Invalid.

        The error's message is worded by `phrase`; its fields are `path` (a list), `value` and `detail`.
        Secrets are masked in all of them.
        """
        form = self._form(version)
        try:
            if form.accepts(body):
                return
            refusal = form.refusal(body, best=self._phrase.best)
            message = "" if refusal is None else self._phrase.say(refusal)
        except RecursionError:
            raise Invalid("The value is nested too deeply.", path=[], value=MASK, detail="nested too deeply") from None
        if refusal is not None:
            raise Invalid(message, path=list(refusal.path), value=refusal.value, detail=refusal.detail)

    def at(self, version: Version | None) -> dict[str, Any]:
        """The plain JSON schema at `version`."""
        return project(self.document, version)

    def _form(self, version: Version | None) -> _Form:
        index = bisect_right(self._boundaries, version) if version is not None else -1
        form = self._forms[index] if version is not None else self._newest
        if form is not None:
            return form
        with self._lock:
            schema = project(self.document, version)
            known = [form for form in (*self._forms, self._newest) if form is not None and form.schema == schema]
            form = known[0] if known else _Form(schema, self._draft)
            if version is None:
                self._newest = form
            else:
                self._forms[index] = form
            return form


class _Form:
    """A plain schema and its two validators."""

    def __init__(self, schema: dict[str, Any], draft: Draft) -> None:
        self.schema = schema
        self._draft: Draft = draft
        self._slow: Validator | None = None
        formats: dict[str, Callable[[str], bool]] = {name: one.accepts for name, one in FORMATS.items()}
        self._fast = fastjsonschema.compile(
            {**_for_fast(schema, formats), "$schema": _FAST_DRAFTS[draft]},
            formats=formats,
            use_default=False,
        )

    def accepts(self, body: Any) -> bool:
        try:
            self._fast(body)
        except fastjsonschema.JsonSchemaValueException:
            return False
        return True

    def refusal(self, body: Any, *, best: bool = False) -> Refusal | None:
        """What jsonschema holds against the body; None if nothing."""
        from jsonschema.exceptions import best_match

        if self._slow is None:
            self._slow = _slow_class(self._draft)(self.schema, format_checker=_format_checker())
        errors = self._slow.iter_errors(body)
        error = best_match(errors) if best else next(iter(errors), None)
        return None if error is None else _refusal(error)


def _inspect(schema: Any, unknown: frozenset[str], named: bool = False) -> None:
    """Raise ValueError for what cannot be judged; `named` says that the keys of `schema` are names, not keywords."""
    if isinstance(schema, (list, tuple)):
        for part in schema:
            _inspect(part, unknown)
    if not isinstance(schema, Mapping):
        return
    for keyword, part in schema.items():
        if not named and keyword in unknown:
            raise ValueError(f"schemas here have no {keyword}")
        if not named and keyword == "format" and isinstance(part, str) and part not in FORMATS:
            raise ValueError(f"no such format: {part}")
        if named or keyword not in ("enum", "const", "default", "example", "examples"):
            _inspect(part, unknown, named=not named and keyword in _NAMED)


# fastjsonschema, made to agree


def _for_fast(schema: Any, formats: dict[str, Callable[[str], bool]]) -> Any:
    """`schema` rewritten so that fastjsonschema judges as jsonschema does; formats that this needs are added."""
    if isinstance(schema, list):
        return [_for_fast(part, formats) for part in schema]
    if not isinstance(schema, dict):
        return schema
    rewritten: dict[str, Any] = {}
    for keyword, part in schema.items():
        match keyword:
            case "enum" | "const" | "default" | "required" | "type":
                rewritten[keyword] = part
            case "pattern":
                rewritten[keyword] = _python_pattern(part)
            case "properties":
                rewritten[keyword] = {name: _for_fast(sub, formats) for name, sub in part.items()}
            case "prefixItems":  # under this name since 2020-12, which fastjsonschema does not know
                rewritten["items"] = _for_fast(part, formats)
            case "items" if "prefixItems" in schema:
                rewritten["additionalItems"] = _for_fast(part, formats)
            case "patternProperties":
                rewritten[keyword] = {_python_pattern(name): _for_fast(sub, formats) for name, sub in part.items()}
            case _:
                rewritten[keyword] = _for_fast(part, formats)
    if "minimum" in schema or "maximum" in schema:
        limits = (schema.get("minimum"), schema.get("maximum"))
        name = f"within {limits[0]} {limits[1]}"
        formats[name] = _within(*limits)
        rewritten["allOf"] = [*rewritten.get("allOf", ()), {"format": name}]
    return rewritten


def _python_pattern(pattern: str) -> str:
    """`pattern` with each `$` spelt out: fastjsonschema takes it for the very end, Python also for a last newline."""
    spelt, in_class, at = [], False, 0
    while at < len(pattern):
        char = pattern[at]
        if char == "\\":
            spelt.append(pattern[at : at + 2])
            at += 2
            continue
        if char == "[" and not in_class:
            in_class = True
            # A bracket that comes first in a class, or after ^, is an ordinary character of it.
            opening = re.match(r"\[\^?\]?", pattern[at:])
            assert opening is not None
            spelt.append(opening[0])
            at += opening.end()
            continue
        if char == "]":
            in_class = False
        spelt.append((r"\x24" if in_class else r"(?=\n?\Z)") if char == "$" else char)
        at += 1
    return "".join(spelt)


def _number(value: Any) -> int | float | None:
    try:
        return int(value)
    except (ValueError, TypeError, OverflowError):
        pass
    try:
        return float(value)
    except (ValueError, TypeError, OverflowError):
        return None


def _within(minimum: float | None, maximum: float | None) -> Callable[[str], bool]:
    def accepts(text: str) -> bool:
        number = _number(text)
        if number is None:
            return True
        return not (minimum is not None and number < minimum) and not (maximum is not None and number > maximum)

    return accepts


# jsonschema, for the words


@cache
def _slow_class(draft: Draft) -> Any:
    import jsonschema

    original: Any = jsonschema.Draft4Validator if draft == "draft-04" else jsonschema.Draft202012Validator

    def limit(keyword: str) -> Callable[..., Any]:
        judge = original.VALIDATORS[keyword]

        def check(validator: Validator, bound: Any, instance: Any, schema: Any) -> Any:
            number = _number(instance)
            return () if number is None else judge(validator, bound, number, schema) or ()

        return check

    extend: Any = jsonschema.validators.extend
    return extend(original, {"minimum": limit("minimum"), "maximum": limit("maximum")})


def _format_checker() -> Any:
    import jsonschema

    checker = jsonschema.FormatChecker(formats=())
    checker.checkers = {name: (_for_texts(one.accepts), ()) for name, one in FORMATS.items()}
    return checker


def _for_texts(accepts: Callable[[str], bool]) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, str) or accepts(value)


def _refusal(error: ValidationError) -> Refusal:
    path = tuple(error.absolute_path)
    one = FORMATS.get(str(error.validator_value)) if error.validator == "format" else None
    says = one.says if one is not None else ""
    hidden = any(isinstance(step, str) and is_secret_name(step) for step in path)
    value = MASK if hidden else redact(error.instance)
    if value == error.instance:
        return Refusal(path, value, error.message, str(error), says)
    detail = error.message.replace(repr(error.instance), repr(value))
    return Refusal(path, value, detail, detail, says)
