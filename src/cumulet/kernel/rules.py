# SPDX-License-Identifier: Apache-2.0
"""The language of policy rules, oslo.policy's: from text to closures.

The language (facts: oslo.policy's documentation and `policy.yaml` files):

    @  and the empty rule          always       !                     never
    rule:NAME                      another rule; an unknown one is the rule `default`, or never
    role:NAME                      a role of the caller, in any case
    KEY:VALUE, KEY.KEY:VALUE       an entry of the credentials, path by path; of a list any item may match
    'text':VALUE, None:VALUE       a Python literal instead of a key
    field:RESOURCE:NAME=VALUE      an attribute of the target, `VALUE` a text or `~` and a pattern (as network has it)
    not X, X and Y, X or Y, (X)    `and` binds tighter than `or`
    [["X", "Y"], ["Z"]]            the old list form: X and Y, or Z

VALUE may hold `%(path)s`, filled from the target; a path that the target lacks makes the check false.

The one difference from oslo.policy: text that cannot be understood raises PolicyError when it is read, wherever
oslo.policy would deny silently, fail at each check, or (for a rule that is null) allow everything.
`http:` and `https:` checks are refused likewise. So are rules that go round in a circle.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

Check = Callable[[Mapping[str, Any], Mapping[str, Any]], bool]  # (target, credentials)

DEFAULT_RULE = "default"

_PLACEHOLDER = re.compile(r"%(?:\(([^()]*)\)s|(%))")
_TRUE_WORDS = frozenset({"true", "1", "yes", "on", "t", "y"})


class PolicyError(Exception):
    """A rule, or a file of rules, that cannot be used; the message names the rule and what is wrong."""


@dataclass(frozen=True, slots=True)
class Leaf:
    kind: str
    match: str


@dataclass(frozen=True, slots=True)
class Not:
    node: Node


@dataclass(frozen=True, slots=True)
class AllOf:
    nodes: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    nodes: tuple[Node, ...]


Node = Leaf | Not | AllOf | AnyOf
ALWAYS: Node = AllOf(())
NEVER: Node = AnyOf(())


def leaves(node: Node) -> Iterator[Leaf]:
    if isinstance(node, Leaf):
        yield node
    elif isinstance(node, Not):
        yield from leaves(node.node)
    else:
        for part in node.nodes:
            yield from leaves(part)


# From text to nodes


def parse_rule(name: str, rule: Any) -> Node:
    """The tree of one rule, given as text or in the old list form."""
    try:
        if isinstance(rule, str):
            return _parse(rule)
        if isinstance(rule, list):
            return _parse_list(rule)
    except PolicyError as error:
        raise PolicyError(f"rule {name}: {error}") from None
    except RecursionError:
        raise PolicyError(f"rule {name}: nested too deeply") from None
    raise PolicyError(f"rule {name}: neither a text nor a list")


@lru_cache(1024)
def _parse(rule: str) -> Node:
    """Hundreds of rules have the same few texts."""
    return _Parser(rule).parse()


def _parse_list(rule: Sequence[Any]) -> Node:
    if not rule:
        return ALWAYS
    alternatives: list[Node] = []
    for inner in rule:
        words = [inner] if isinstance(inner, str) else inner
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise PolicyError("the list form is a list of lists of texts")
        if inner:
            alternatives.append(AllOf(tuple(_parse_check(word) for word in words)))
    return AnyOf(tuple(alternatives))


def _parse_check(text: str) -> Node:
    if text == "@":
        return ALWAYS
    if text == "!":
        return NEVER
    kind, colon, match = text.partition(":")
    if not colon:
        raise PolicyError(f"{text!r} is not a check: there is no colon")
    if kind in ("http", "https"):
        raise PolicyError(f"{text!r}: rules that ask a server over {kind} are not supported")
    return Leaf(kind, match)


def _tokens(rule: str) -> Iterator[tuple[str, str]]:
    """Pairs of a token's sort (`(`, `)`, `and`, `or`, `not`, `check`) and its text.

    Parentheses count only at a word's ends: within it they belong to a check, as in `%(name)s`.
    """
    for word in rule.split():
        inner = word.lstrip("(")
        yield from [("(", "(")] * (len(word) - len(inner))
        body = inner.rstrip(")")
        if body.lower() in ("and", "or", "not"):
            yield body.lower(), body
        elif len(inner) >= 2 and inner[0] == inner[-1] and inner[0] in "'\"":
            raise PolicyError(f"{inner} is a text where a check should stand")
        elif body:
            yield "check", body
        yield from [(")", ")")] * (len(inner) - len(body))


class _Parser:
    """Recursive descent over one rule's tokens."""

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._tokens = [*_tokens(rule), ("end", "its end")]
        self._at = 0

    def parse(self) -> Node:
        if not self._rule:
            return ALWAYS
        node = self._any()
        if self._sort != "end":
            raise self._unexpected()
        return node

    @property
    def _sort(self) -> str:
        return self._tokens[self._at][0]

    def _take(self, sort: str) -> bool:
        if self._sort != sort:
            return False
        self._at += 1
        return True

    def _unexpected(self) -> PolicyError:
        return PolicyError(f"cannot understand {self._rule!r} at {self._tokens[self._at][1]!r}")

    def _any(self) -> Node:
        nodes = [self._all()]
        while self._take("or"):
            nodes.append(self._all())
        return nodes[0] if len(nodes) == 1 else AnyOf(tuple(nodes))

    def _all(self) -> Node:
        nodes = [self._one()]
        while self._take("and"):
            nodes.append(self._one())
        return nodes[0] if len(nodes) == 1 else AllOf(tuple(nodes))

    def _one(self) -> Node:
        if self._take("not"):
            return Not(self._one())
        if self._take("("):
            node = self._any()
            if not self._take(")"):
                raise self._unexpected()
            return node
        text = self._tokens[self._at][1]
        if not self._take("check"):
            raise self._unexpected()
        return _parse_check(text)


def text_of(node: Node) -> str:
    """The rule that `node` was read from, in the language's own words."""
    match node:
        case Leaf(kind, match):
            return f"{kind}:{match}"
        case Not(inner):
            return f"not {text_of(inner)}"
        case AllOf(nodes):
            joined, empty = " and ".join(text_of(part) for part in nodes), "@"
        case AnyOf(nodes):
            joined, empty = " or ".join(text_of(part) for part in nodes), "!"
    return f"({joined})" if len(nodes) > 1 else joined or empty


# From nodes to closures


def compile_rules(nodes: Mapping[str, Node]) -> dict[str, Check]:
    """The rules as closures, references between them resolved. Raises PolicyError."""
    linker = _Linker(nodes)
    return {name: linker.rule(name) for name in nodes}


class _Linker:
    """Compiles each rule once, those that it refers to before it."""

    def __init__(self, nodes: Mapping[str, Node]) -> None:
        self._nodes = nodes
        self._done: dict[str, Check] = {}
        self._open: list[str] = []

    def rule(self, name: str) -> Check:
        if name not in self._nodes:
            if DEFAULT_RULE not in self._nodes:
                return _never
            name = DEFAULT_RULE
        if name in self._done:
            return self._done[name]
        if name in self._open:
            circle = " -> ".join([*self._open[self._open.index(name) :], name])
            raise PolicyError(f"rule {name}: goes round in a circle: {circle}")
        self._open.append(name)
        try:
            check = self._build(self._nodes[name])
        except RecursionError:
            raise PolicyError(f"rule {name}: nested too deeply") from None
        self._open.pop()
        self._done[name] = check
        return check

    def _build(self, node: Node) -> Check:
        match node:
            case AllOf(nodes):
                return _all([self._build(part) for part in nodes])
            case AnyOf(nodes):
                return _any([self._build(part) for part in nodes])
            case Not(inner):
                return _not(self._build(inner))
            case Leaf("rule", name):
                return self.rule(name)
            case Leaf(kind, match):
                try:
                    return _leaf(kind, match)
                except PolicyError as error:
                    raise PolicyError(f"rule {self._open[-1]}: {error}") from None


def _never(_target: Mapping[str, Any], _credentials: Mapping[str, Any]) -> bool:
    return False


def _always(_target: Mapping[str, Any], _credentials: Mapping[str, Any]) -> bool:
    return True


def _not(check: Check) -> Check:
    return lambda target, credentials: not check(target, credentials)


def _all(checks: list[Check]) -> Check:
    if len(checks) < 2:
        return checks[0] if checks else _always
    if len(checks) == 2:
        first, second = checks
        return lambda target, credentials: first(target, credentials) and second(target, credentials)

    def check(target: Mapping[str, Any], credentials: Mapping[str, Any]) -> bool:
        for part in checks:  # noqa: SIM110 - a loop is twice as fast as all() over a generator
            if not part(target, credentials):
                return False
        return True

    return check


def _any(checks: list[Check]) -> Check:
    if len(checks) < 2:
        return checks[0] if checks else _never
    if len(checks) == 2:
        first, second = checks
        return lambda target, credentials: first(target, credentials) or second(target, credentials)

    def check(target: Mapping[str, Any], credentials: Mapping[str, Any]) -> bool:
        for part in checks:  # noqa: SIM110 - a loop is twice as fast as any() over a generator
            if part(target, credentials):
                return True
        return False

    return check


def _leaf(kind: str, match: str) -> Check:
    if kind == "field":
        return _field(match)
    fill = _filler(match)
    if kind == "role":
        return _role(match, fill)
    try:
        literal = str(ast.literal_eval(kind))
    except ValueError:
        return _credential(kind.split("."), match, fill)
    except (SyntaxError, TypeError, MemoryError, RecursionError):
        raise PolicyError(f"{kind!r} is neither a key of the credentials nor a literal") from None
    if fill is None:
        return _always if literal == match.replace("%%", "%") else _never
    return lambda target, _credentials: fill(target) == literal


Filler = Callable[[Mapping[str, Any]], str | None]


def _filler(match: str) -> Filler | None:
    """A function that fills `match` from a target, giving None for a path that is not there; None if all is fixed."""
    if "%" in _PLACEHOLDER.sub("", match):
        raise PolicyError(f"{match!r}: a percent sign is written %%, a value of the target %(name)s")
    paths = [path for path, percent in _PLACEHOLDER.findall(match) if not percent]
    if not paths:
        return None
    if match == f"%({paths[0]})s":
        return _lookup(paths[0])
    pieces = [_lookup(path) for path in paths]
    frame = _PLACEHOLDER.sub(lambda found: "%%" if found[2] else "%s", match)

    def fill(target: Mapping[str, Any]) -> str | None:
        values = tuple(piece(target) for piece in pieces)
        return None if None in values else frame % values

    return fill


def _lookup(path: str) -> Filler:
    """A function that gives a target's value at `path` as text: under the whole path as a key, else step by step."""
    steps = path.split(".")

    def lookup(target: Mapping[str, Any]) -> str | None:
        try:
            return str(target[path])
        except KeyError:
            pass
        value: Any = target
        for step in steps:
            if not isinstance(value, Mapping) or step not in value:
                return None
            value = value[step]
        return str(value)

    return lookup


def _role(match: str, fill: Filler | None) -> Check:
    fixed = match.replace("%%", "%").lower()

    def check(target: Mapping[str, Any], credentials: Mapping[str, Any]) -> bool:
        wanted = fixed
        if fill is not None:
            filled = fill(target)
            if filled is None:
                return False
            wanted = filled.lower()
        roles = credentials.get("roles") or ()
        return wanted in roles or wanted in map(str.lower, roles)

    return check


def _credential(path: list[str], match: str, fill: Filler | None) -> Check:
    fixed = match.replace("%%", "%")
    first, rest = path[0], path[1:]

    def check(target: Mapping[str, Any], credentials: Mapping[str, Any]) -> bool:
        wanted = fixed if fill is None else fill(target)
        if wanted is None or first not in credentials:
            return False
        value = credentials[first]
        if not rest and value.__class__ is str:
            return bool(value == wanted)
        return _matches(value, rest, wanted)

    return check


def _matches(value: Any, path: Sequence[str], wanted: str) -> bool:
    """Whether `wanted` stands at `path` in `value`; of a list along the path any item will do."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(_found(item, path, wanted) for item in value)
    return _found(value, path, wanted)


def _found(value: Any, path: Sequence[str], wanted: str) -> bool:
    if not path:
        return str(value) == wanted
    return isinstance(value, Mapping) and path[0] in value and _matches(value[path[0]], path[1:], wanted)


def _field(match: str) -> Check:
    _resource, _, condition = match.partition(":")
    name, equals, text = condition.rpartition("=")
    if not equals or not name:
        raise PolicyError(f"'field:{match}' is not field:RESOURCE:NAME=VALUE")
    try:
        pattern = re.compile(text[1:]) if text.startswith("~") else None
    except re.error as error:
        raise PolicyError(f"'field:{match}': {error}") from None
    truth = text.lower() in _TRUE_WORDS

    def check(target: Mapping[str, Any], _credentials: Mapping[str, Any]) -> bool:
        value = target.get(name)
        if value is None:
            return False
        if pattern is not None:
            return isinstance(value, str) and pattern.match(value) is not None
        return value is truth if isinstance(value, bool) else str(value) == text

    return check
