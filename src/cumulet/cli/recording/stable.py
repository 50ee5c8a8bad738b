# SPDX-License-Identifier: Apache-2.0
"""Makes answers comparable: ids, times, links, addresses and names of one play become words that are the same in all.

An id is called by the name that the play knows it under, else by the step and path where it was first seen; a time
keeps its format (`<time 0000-00-00T00:00:00Z>`); a link keeps all but the place of its service.
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
import re
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, field

from cumulet.cli.recording.play import Exchange, Played
from cumulet.cli.recording.scenario import Step, dig

# Headers that clients act upon; of the others nothing is said.
EXACT = (
    "location", "content-type", "openstack-api-version", "x-openstack-nova-api-version", "www-authenticate",
    "retry-after", "allow", "openstack-image-store-ids", "openstack-image-import-methods", "content-range",
)  # fmt: skip
THERE = "<there>"
PRESENT = (
    "x-subject-token",
    "openstack-auth-receipt",
    "x-openstack-request-id",
    "x-compute-request-id",
    "etag",
    "last-modified",
    "cache-control",
)

_ID = re.compile(
    r"(?<![0-9a-zA-Z])(?:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[0-9a-f]{32})(?![0-9a-zA-Z])"
)
_REQUEST = re.compile(r"req-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(?:\.\d+)?(?:Z|[+-]\d{2}:\d{2})?")
# What a validator prints of its own schema behind the reason: a library's words, in a library's order.
_VALIDATING = re.compile(r"\s*Failed validating .*", re.DOTALL)
_MAC = re.compile(r"\b[0-9a-f]{2}(?::[0-9a-f]{2}){5}\b")
_TOKEN = re.compile(r"gAAAA[\w=-]{40,}")

# What the cloud itself calls its parts.
_NAMES = ("host", "node", "backend", "pool", "name_admin")

# Fields of which only the presence is a fact.
_FIELDS = {
    "audit_ids": "<audit ids>",
    "fingerprint": "<fingerprint>",
    "private_key": "<private key>",
    "adminPass": "<password>",
    "auth_key": "<key>",
    "oauth_verifier": "<verifier>",
    "hostId": "<hash of the host>",
    "host_id": "<hash of the host>",
}
# Fields whose value is the cloud's choice, unless the request named it.
_CHOSEN = (
    "ip_address",
    "addr",
    "fixed_ip_address",
    "floating_ip_address",
    "ip",
    "OS-EXT-SRV-ATTR:reservation_id",
    "reservation_id",
)


class Fact(Struct, omit_defaults=True):
    """One step of a recording: what was asked, in the scenario's own words, and what is known of the answer."""

    actor: str
    ask: str
    status: int
    service: str = ""
    version: str = ""
    sent: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


def facts(played: Played) -> list[Fact]:
    """What a play tells, without what only this play could tell."""
    return _Names(played).facts()


class _Names:
    def __init__(self, played: Played) -> None:
        self._played = played
        self._ids: dict[str, str] = {}
        self._words: list[tuple[str, str]] = []
        for name, value in played.values.items():
            if isinstance(value, str) and _ID.fullmatch(value):
                self._ids.setdefault(value, f"<{name}>")
                self._words.append((hashlib.sha256(value.encode()).hexdigest(), f"<hash of {name}>"))
            elif name in ("suffix", "upper", "password", "web", "region", *_NAMES):
                self._words.append((value, f"<{name}>"))
        self._words.sort(key=lambda pair: (-len(pair[0]), pair[1]))
        roots = sorted(((url, service) for service, url in played.roots.items()), key=lambda pair: -len(pair[0]))
        self._paths = [path for url, _ in roots if (path := urlsplit(url).path)]
        self._roots = [(url, f"<{service}>") for url, service in roots]

    def facts(self) -> list[Fact]:
        return [self._fact(number, exchange) for number, exchange in enumerate(self._played.exchanges, 1)]

    def _fact(self, number: int, exchange: Exchange) -> Fact:
        step, answer = exchange.step, exchange.answer
        asked = json.dumps(exchange.sent)
        headers = {name: answer.headers[name] for name in EXACT if name in answer.headers}
        headers = {name: self._text(value, f"{number} {name}") for name, value in sorted(headers.items())}
        headers |= {name: THERE for name in PRESENT if name in answer.headers}
        if "vary" in answer.headers and answer.status < 400:  # of a refusal some say it and some do not
            headers["vary"] = ", ".join(sorted({word.strip().lower() for word in answer.headers["vary"].split(",")}))
        if "allow" in headers:
            headers["allow"] = ", ".join(sorted(word.strip() for word in headers["allow"].split(",")))
        if not answer.body:
            headers.pop("content-type", None)  # of nothing
        if "content-type" in headers:
            kind = headers["content-type"].replace(" ", "").lower()
            headers["content-type"] = "application/json" if kind.startswith("application/json;") else kind
        return Fact(
            actor=step.actor,
            service=step.service,
            ask=step.ask,
            version=step.version,
            sent=step.body if step.data is None else step.data,
            status=answer.status,
            headers=headers,
            body=self._tree(self._chosen_lists(answer.body, step), str(number), "", asked) or None,
        )

    def _chosen_lists(self, body: Any, step: Step) -> Any:
        """The body with the lists of `only` thinned out and those of `sort` in order."""
        values = self._played.values
        for path, wanted in step.only.items():

            def thin(found: list[Any], wanted: dict[str, str] = wanted) -> list[Any]:
                return [each for each in found if _fits(each, wanted, values)]

            body = _replace(body, path.split("."), thin)
        for path, name in step.sort.items():

            def order(found: list[Any], name: str = name) -> list[Any]:
                return sorted(found, key=lambda each: self._known(_key(each, name)))

            body = _replace(body, path.split("."), order)
        return body

    def _known(self, text: str) -> str:
        """The text with ids that have a name already called by it; others are blank, for they have no order."""
        text = _ID.sub(lambda match: self._ids.get(match[0], ""), text)
        for value, name in self._words:
            text = text.replace(value, name)
        return text

    def _tree(self, tree: Any, place: str, key: str, asked: str) -> Any:
        if key in _FIELDS and tree:
            return _FIELDS[key]
        if isinstance(tree, dict):
            return {
                self._text(inner, place): self._tree(value, f"{place}.{inner}", inner, asked)
                for inner, value in tree.items()
            }
        if isinstance(tree, list):
            return [self._tree(value, f"{place}.{number}", key, asked) for number, value in enumerate(tree)]
        if isinstance(tree, str):
            if key in _CHOSEN and tree and tree not in asked:
                return f"<{key}>"
            return self._text(tree, place)
        return tree

    def _text(self, text: str, place: str) -> str:
        for url, name in self._roots:
            text = text.replace(url, name)
        for path in self._paths:
            if text.startswith(f"{path}/"):
                text = text.removeprefix(path)
        text = _VALIDATING.sub("", text)
        text = _TOKEN.sub("<token>", text)
        text = _REQUEST.sub("<request>", text)
        text = _ID.sub(lambda match: self._ids.setdefault(match[0], f"<id {place}>"), text)
        text = _TIME.sub(lambda match: "<time " + re.sub(r"\d", "0", match[0]) + ">", text)
        text = _MAC.sub("<mac>", text)
        for value, name in self._words:
            text = text.replace(value, name)
        return text


def _key(entry: Any, name: str) -> str:
    """What an entry is ordered by: the value at a dotted path, or the whole entry where it is not an object."""
    try:
        return json.dumps(dig(entry, name)) if isinstance(entry, dict) else str(entry)
    except KeyError:
        return ""


def _fits(entry: Any, wanted: dict[str, str], values: dict[str, Any]) -> bool:
    for name, pattern in wanted.items():
        for known, value in values.items():
            pattern = pattern.replace("{" + known + "}", str(value))
        if not fnmatch.fnmatchcase(_key(entry, name).strip('"'), pattern):
            return False
    return True


def _replace(tree: Any, path: list[str], change: Any) -> Any:
    if not path:
        return change(tree) if isinstance(tree, list) else tree
    if isinstance(tree, dict) and path[0] in tree:
        return {**tree, path[0]: _replace(tree[path[0]], path[1:], change)}
    if isinstance(tree, list) and path[0] == "*":
        return [_replace(each, path[1:], change) for each in tree]
    return tree
