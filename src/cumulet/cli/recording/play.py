# SPDX-License-Identifier: Apache-2.0
"""Plays a scenario on a cloud: each step's request and answer, with the values that placeholders had."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

import orjson

from cumulet.cli.recording.client import HEADERS, Answer, Cloud, NotThere
from cumulet.cli.recording.people import People
from cumulet.cli.recording.scenario import BadScenario, Scenario, Step, dig, fill
from cumulet.cli.recording.signing import MAKERS

PATIENCE = 90.0  # seconds that a step with `until` is repeated at the most
PAUSE = 0.2


@dataclass(frozen=True)
class Exchange:
    """One step as it was played; `sent` is its body with the values in the placeholders' places."""

    step: Step
    sent: Any
    answer: Answer


@dataclass(frozen=True)
class Played:
    """A whole play: the exchanges that count, and every value by the name that it is known under."""

    exchanges: list[Exchange]
    values: dict[str, str]
    roots: dict[str, str]


def play(
    cloud: Cloud, scenario: Scenario, given: list[Step], tell: Callable[[str], None] = lambda words: None
) -> Played:
    """Play `given`, then the scenario; people are removed afterwards. Raises NotThere and BadScenario."""
    people = People(cloud)
    player = _Player(cloud, people, {})
    try:
        for step in given:
            exchange = player.do(step)
            if exchange.answer.status >= 400:
                raise NotThere(f"{scenario.name}: given {step.ask}: {exchange.answer.status} {exchange.answer.body}")
        exchanges = []
        for step in scenario.steps:
            exchanges.append(player.do(step))
            tell(f"  {exchanges[-1].answer.status} {step.ask}")
        return Played(exchanges, {**cloud.names, **people.known(), **player.kept}, dict(cloud.roots))
    finally:
        try:
            people.tidy()
        except NotThere as error:
            tell(f"  left behind: {error}")


@dataclass
class _Player:
    cloud: Cloud
    people: People
    kept: dict[str, Any]

    def do(self, step: Step) -> Exchange:
        url = self.cloud.url(step.service, fill(step.path, self._value), self.people.project_of(step.actor))
        for name, words in step.make.items():
            self.kept[name] = self._made(fill(words, self._value), step.method, url)
        sent = fill(step.body, self._value)
        data = orjson.dumps(sent) if sent is not None else None
        if step.data is not None:
            data = str(fill(step.data, self._value)).encode()
        headers = {**self._headers(step), **fill(step.headers, self._value)}
        deadline = time.monotonic() + PATIENCE
        while True:
            answer = self.cloud.send(step.method, url, headers, data)
            if self._is_enough(step, answer) or time.monotonic() > deadline:
                break
            time.sleep(PAUSE)
        for name, path in step.keep.items():
            try:
                self.kept[name] = kept(answer, path)
            except KeyError:
                self.kept[name] = f"no-{name}"  # the comparison tells what is missing; later steps go on
        return Exchange(step, sent, answer)

    def _made(self, words: dict[str, Any], method: str, url: str) -> Any:
        maker = MAKERS.get(words.pop("by", ""))
        if maker is None:
            raise BadScenario(f"make: nothing makes {words}")
        try:
            return maker(words, method, url)
        except KeyError as error:
            raise BadScenario(f"make: {error} is not said") from error

    def _headers(self, step: Step) -> dict[str, str]:
        headers = {}
        token = self.people.token(step.actor)
        if token is not None:
            headers["X-Auth-Token"] = token
        if step.version and step.service in HEADERS:
            headers["OpenStack-API-Version"] = f"{HEADERS[step.service]} {step.version}"
        return headers

    def _is_enough(self, step: Step, answer: Answer) -> bool:
        for path, wanted in step.until.items():
            try:
                value = answer.status if path == "status" else dig(answer.body, path.removeprefix("body."))
            except KeyError:
                value = None
            if value not in wanted:
                return False
        return True

    def _value(self, name: str) -> Any:
        if name in self.kept:
            return self.kept[name]
        try:
            return self.people.value(name)
        except KeyError as error:
            raise BadScenario(f"nothing is known as {{{name}}}") from error


def kept(answer: Answer, path: str) -> Any:
    """What a step keeps of an answer: `:NAME` a header, `&NAME` a field of a form, else a path. Raises KeyError.

    With a slash at its end it is the last word of the address that stands there.
    """
    if path.endswith("/"):
        return str(kept(answer, path[:-1])).rstrip("/").rpartition("/")[2]
    if path.startswith(":"):
        return answer.headers[path[1:]]
    if path.startswith("&"):
        return dict(parse_qsl(str(answer.body)))[path[1:]]
    return dig(answer.body, path)
