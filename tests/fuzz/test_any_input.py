# SPDX-License-Identifier: Apache-2.0
"""Whatever stands in a body, a query, a header or a path: no answer is a 500, none stays away, all JSON can be read.

Each route is sent `CUMULET_FUZZ_ROUNDS` requests (default 8) from the seed `CUMULET_FUZZ_SEED` (default 1), as the
administrator and as a member, at any microversion. `make fuzz` sends many more from a new seed, which it prints.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cumulet.kernel.http.microversions import Version, text
from cumulet.kernel.http.routes import Api, Route
from fuzz.bodies import Writer
from fuzz.hostile import HEADERS, SEGMENTS, WORDS
from personas import expected, oracle
from personas.cast import Persona
from personas.props import MAKERS
from personas.stage import PARAMETER, Stage, api_of, base_of
from support import yaml_files
from support.cloud import RunningCloud
from support.engines import ENGINES

ROUNDS = int(os.environ.get("CUMULET_FUZZ_ROUNDS", "8"))
SEED = os.environ.get("CUMULET_FUZZ_SEED", "1")
TIMEOUT = 60.0  # seconds: whatever takes longer hangs
ENOUGH = 3  # answers that say that the route is not there yet
FINE = frozenset({501, 503})  # said so; a host that is away

SAMPLES: dict[str, Any] = yaml_files.read(Path(__file__).parent / "samples.yaml")
COMMON = ("limit", "marker", "offset", "sort_key", "sort_dir", "sort", "name", "id", "fields", "all_tenants", "status")
COMMON += ("page_reverse", "changes-since", "project_id", "tags", "with_count", "created_at", "visibility", "resources")
# What these do, others need undone: they come last.
DISTURBING = re.compile(r"/os-(services|hosts|quota-class-sets)|/agents|/default-types|/quotas")

ROUTES = sorted(
    ((service, number, route) for service in oracle.SERVICES for number, route in enumerate(api_of(service).routes)),
    key=lambda one: (bool(DISTURBING.search(one[2].path)), one[0], one[1]),
)
CASES = [pytest.param(service, one, id=f"{service}-{expected.name_of(one)}-{at}") for service, at, one in ROUTES]


class Bugs(logging.Handler):
    """Keeps what was logged with a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.found.append(logging.Formatter().format(record))


@pytest.fixture(scope="module")
def stage(engine: str, pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A cloud of its own, for what is sent may turn anything upside down."""
    url = pytestconfig.stash[ENGINES].new_url(engine)
    cloud = RunningCloud(tmp_path_factory.mktemp("fuzz"), database_url=url)
    made = Stage(cloud, MAKERS)
    yield made
    made.close()
    cloud.close()


@pytest.fixture(scope="module")
def bugs(stage: Stage) -> Iterator[Bugs]:
    handler = Bugs()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


@pytest.fixture(scope="module")
def administrator(stage: Stage) -> Persona:
    """One whose domain nobody can disable."""
    people = stage.casting.people
    return Persona("administrator", people.admin_token({"project": {"id": people.named_project("admin")}}))


class Sender:
    """Makes requests for one route."""

    def __init__(self, stage: Stage, service: str, route: Route) -> None:
        self._stage, self._service, self._route = stage, service, route
        self._api: Api = api_of(service)
        self._writer = Writer(f"{SEED} {service} {expected.name_of(route)}", stage.known_ids())
        self._random = self._writer.random
        sample = (SAMPLES.get(service) or {}).get(expected.name_of(route)) or expected.said(service, "bodies", route)
        self._sample = stage.filled(sample) if sample is not None else None
        resource = getattr(route.handler, "__self__", None)
        self._names = list(getattr(resource, "attributes", ()))

    def send(self, who: Persona) -> tuple[str, httpx.Response]:
        """One request, and how to tell of it."""
        version = self._version()
        body = self._body(version)
        headers = dict([self._random.choice(HEADERS)]) if self._random.random() < 0.25 else {}
        path = base_of(self._api) + self._path() + self._query(version)
        label = text(version) if version else ""
        sent = {name: value.encode("utf-8") for name, value in ({"Content-Type": self._media()} | headers).items()}
        answer = self._stage.ask(who, self._api, self._route.method, path, version=label, content=body, headers=sent)
        told = f"{self._route.method} {path[:300]} {label} {headers} {(body or b'')[:600]!r} -> {answer.status_code}"
        return told, answer

    def _version(self) -> Version | None:
        """A microversion at which the route is served, its ends more often than the rest."""
        if self._api.microversions is None:
            return None
        least = self._route.since or self._api.microversions.least
        most = self._route.until or self._api.microversions.most
        minor = self._random.choice([least[1], most[1], most[1], self._random.randint(least[1], most[1])])
        return (least[0], minor)

    def _body(self, version: Version | None) -> bytes | None:
        if self._route.method in ("GET", "HEAD", "DELETE") and self._random.random() < 0.95:
            return None
        if self._route.stream:
            return b"some bytes"
        schema = self._route.body.at(version) if self._route.body is not None else None
        sample = self._sample
        if self._names and isinstance(sample, dict):
            names = self._random.sample(self._names, min(3, len(self._names)))
            hostile = {name: self._writer.hostile() for name in names}
            sample = {
                kind: {**words, **hostile} if isinstance(words, dict) else words for kind, words in sample.items()
            }
        return self._writer.body(schema, sample, self._route.action)

    def _media(self) -> str:
        if self._route.stream:
            return "application/octet-stream"
        return "application/openstack-images-v2.1-json-patch" if self._route.method == "PATCH" else "application/json"

    def _path(self) -> str:
        """The path with what is there, or with something hostile in one place."""
        path, names = self._route.path, PARAMETER.findall(self._route.path)
        if not names:
            return path
        spare = self._route.method == "DELETE"  # making things anew takes long
        at = self._random.randrange(len(names)) if self._random.random() < (0.8 if spare else 0.3) else -1
        prop = self._stage.prop(self._service, self._route)
        for number, name in enumerate(names):
            value = self._random.choice(SEGMENTS) if number == at else str(prop[name])
            path = path.replace(f"{{{name}}}", value, 1)
        return path

    def _query(self, version: Version | None) -> str:
        if self._random.random() < (0.2 if self._route.method == "GET" else 0.9):
            return ""
        names = list(COMMON)
        if self._route.query is not None:
            names += 3 * list(self._route.query.at(version).get("properties") or {})
        chosen = [self._random.choice(names + self._names) for _ in range(self._random.randint(1, 3))]
        return "?" + "&".join(f"{name}={self._random.choice(WORDS)}" for name in chosen)


def is_fine(route: Route, answer: httpx.Response) -> bool:
    """An answer that is no bug: no 500, and what says that it is JSON can be read."""
    if answer.status_code >= 500 and answer.status_code not in FINE:
        return False
    if "json" in answer.headers.get("content-type", "") and route.method != "HEAD" and answer.content:
        answer.json()
    return True


@pytest.mark.in_turn
@pytest.mark.parametrize(("service", "route"), CASES)
def test_no_input_is_a_bug(stage: Stage, bugs: Bugs, administrator: Persona, service: str, route: Route) -> None:
    sender, wrong = Sender(stage, service, route), []
    logged, absent = len(bugs.found), 0
    for number in range(ROUNDS):
        told, answer = sender.send(stage.cast["member"] if number % 3 == 2 else administrator)
        absent += answer.status_code == 501
        if absent == number + 1 == ENOUGH:
            break
        if not is_fine(route, answer):
            wrong.append(told)
        if answer.status_code < 300 and (route.method == "DELETE" or expected.uses_up(service, route)):
            stage.used_up(service, route)
    assert not wrong, f"seed {SEED}\n" + "\n".join([*wrong, *bugs.found[logged:]])


def test_the_cloud_is_well(stage: Stage, bugs: Bugs, administrator: Persona) -> None:
    """Nothing went wrong behind the answers either, and the cloud still answers."""
    assert stage.ask(administrator, api_of("identity"), "GET", "/v3/regions").status_code == 200
    assert bugs.found == [], f"seed {SEED}"
