# SPDX-License-Identifier: Apache-2.0
"""The pipeline on a toy service: paths, methods, versions, tokens, policy, bodies, streams, bugs."""

from __future__ import annotations

import asyncio
import threading

import httpx
import orjson
import pytest

from cumulet import settings
from cumulet.kernel.auth import Authenticator
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.contracts import Contracts
from cumulet.kernel.errors import Conflict, Unauthorized
from cumulet.kernel.http import ANYONE, PUBLIC, Api, Microversions, Reply, Request, Route
from cumulet.kernel.http.errors import FaultDialect
from cumulet.kernel.http.shell import Shell
from cumulet.kernel.policy import Policy
from cumulet.kernel.schema import Schema

VERSIONS = Microversions("toy", (2, 1), (2, 104), legacy_header="X-OpenStack-Toy-API-Version")


class Tokens:
    def context(self, token, service_token=None):
        users = {
            "a": Context(user_id="alice", project_id="p1", roles=frozenset({"admin"})),
            "m": Context(user_id="mallory", project_id="p2", roles=frozenset({"member"})),
        }
        if token not in users:
            raise Unauthorized("The request you have made requires authentication.")
        return users[token]


def show(request: Request) -> Reply:
    return Reply(200, {"id": request.params["thing_id"], "version": list(request.version), "user": request.ctx.user_id})


def say(word):
    return lambda request: Reply(200, {"said": word, "body": request.body})


def conflict(request: Request) -> Reply:
    raise Conflict("It is busy.")


def bug(request: Request) -> Reply:
    raise RuntimeError("the secret is hunter2")


async def upload(request: Request) -> Reply:
    size = 0
    async for chunk in request.chunks:
        size += len(chunk)

    async def pieces():
        for number in range(3):
            yield b"%d" % number

    return Reply(200, headers={"X-Size": str(size)}, chunks=pieces())


NUMBER = Schema(
    {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}
)

API = Api(
    service="toy",
    root="/toy",
    bases=("/v2", "/v2/{project_id}"),
    unversioned=(Route("GET", "/", say("versions"), PUBLIC),),
    routes=(
        Route("GET", "/things/detail", say("detail"), ANYONE),
        Route("GET", "/things/{thing_id}", show, "toy:show"),
        Route("POST", "/things", say("created"), "toy:create", body=NUMBER),
        Route("POST", "/things/{thing_id}/action", say("stop"), ANYONE, action="stop"),
        Route("POST", "/things/{thing_id}/action", say("old go"), ANYONE, action="go", until=(2, 9)),
        Route("POST", "/things/{thing_id}/action", say("new go"), ANYONE, action="go", since=(2, 10)),
        Route("GET", "/late", say("late"), ANYONE, since=(2, 50)),
        Route("GET", "/busy", conflict, ANYONE),
        Route("GET", "/bug", bug, ANYONE),
        Route("PUT", "/bytes", upload, ANYONE, stream=True),
    ),
    dialect=FaultDialect(),
    microversions=VERSIONS,
    body_limit=1000,
)


@pytest.fixture
def call():
    contracts = Contracts()
    contracts.offer(Authenticator, Tokens)
    policy = Policy({"toy:show": "project_id:%(project_id)s", "toy:create": "role:admin"})
    cloud = Cloud(settings.load(environ={}), None, contracts, None, None, None, (), lambda service: policy, None)
    shell = Shell(cloud, {"toy": API}.get, {"/healthz": lambda: Reply(200, {"status": "alive"})})

    def ask(method, path, token="a", **words):
        headers = {"X-Auth-Token": token} if token else {}
        headers |= words.pop("headers", {})

        async def go():
            transport = httpx.ASGITransport(shell)
            async with httpx.AsyncClient(transport=transport, base_url="http://cloud:1") as client:
                return await client.request(method, path, headers=headers, **words)

        return asyncio.run(go())

    yield ask
    shell.close()


def test_a_page_of_the_process_needs_nothing(call):
    assert call("GET", "/healthz", token=None).json() == {"status": "alive"}


def test_a_path_finds_its_most_literal_route_below_every_base(call):
    for base in ("/toy/v2", "/toy/v2/p1"):
        assert call("GET", f"{base}/things/detail").json()["said"] == "detail"
        assert call("GET", f"{base}/things/7").json()["id"] == "7"
        assert call("GET", f"{base}/things/7/").status_code == 404


@pytest.mark.parametrize("path", ["/nothing", "/toy/v2/nothing/at/all/here", "/toy/v3"])
def test_an_unknown_path_is_404_with_and_without_a_token(call, path):
    assert call("GET", path).status_code == 404
    assert call("GET", path, token=None).status_code == 404


def shell_of(*routes: Route) -> Shell:
    """A service of these routes alone, with one thread."""
    api = Api(service="toy", root="/toy", bases=("/v2",), routes=routes, dialect=FaultDialect())
    cloud = Cloud(settings.load(environ={}), None, Contracts(), None, None, None, (), None, None)
    return Shell(cloud, {"toy": api}.get, {}, threads=1)


def test_a_slow_route_holds_up_no_other():
    waiting = threading.Event()

    def wait(request: Request) -> Reply:
        return Reply(200 if waiting.wait(30) else 504)

    routes = (Route("GET", "/slow", wait, PUBLIC, slow=True), Route("GET", "/quick", say("quick"), PUBLIC))
    shell = shell_of(*routes)

    async def both() -> list[int]:
        transport = httpx.ASGITransport(shell)
        async with httpx.AsyncClient(transport=transport, base_url="http://cloud") as client:
            slow = [asyncio.create_task(client.get("/toy/v2/slow")) for _ in range(3)]
            quick = await client.get("/toy/v2/quick")
            waiting.set()
            return [quick.status_code, *(answer.status_code for answer in await asyncio.gather(*slow))]

    assert asyncio.run(both()) == [200] * 4
    shell.close()


def test_what_is_at_hand_is_answered_on_the_loop():
    loop = threading.get_ident()

    def where(request: Request) -> Reply:
        return Reply(200, {"on the loop": threading.get_ident() == loop})

    def at_hand(request: Request) -> Reply | None:
        return where(request) if "known" in request.query else None

    shell = shell_of(Route("GET", "/where", where, PUBLIC, at_hand=at_hand))

    async def talk():
        async with httpx.AsyncClient(transport=httpx.ASGITransport(shell), base_url="http://toy") as client:
            return [(await client.get(f"/toy/v2/where?{query}")).json() for query in ("known", "new")]

    assert asyncio.run(talk()) == [{"on the loop": True}, {"on the loop": False}]
    shell.close()


def test_the_server_as_a_whole_is_no_service():
    sent = []

    async def send(message):
        sent.append(message)

    shell = Shell(Cloud(None, None, Contracts(), None, None, None, (), None, None), {"toy": API}.get, {})
    asyncio.run(shell({"type": "http", "method": "OPTIONS", "path": "*"}, None, send))
    shell.close()
    assert sent[0]["status"] == 404


def test_a_wrong_method_is_405_and_says_which_are_right(call):
    answer = call("DELETE", "/toy/v2/things/7")
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"
    assert answer.json()["badMethod"]["code"] == 405


def test_head_is_get_without_its_body(call):
    answer = call("HEAD", "/toy/v2/things/7")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_a_public_route_needs_no_token_and_others_do(call):
    assert call("GET", "/toy/", token=None).status_code == 200
    for token in (None, "forged"):
        answer = call("GET", "/toy/v2/things/7", token=token)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == 'Keystone uri="http://cloud:1/identity/v3"'
        assert answer.json()["error"]["code"] == 401


def test_a_rule_refuses(call):
    answer = call("POST", "/toy/v2/things", token="m", json={"n": 1})
    assert answer.status_code == 403
    assert answer.json()["forbidden"]["message"] == "Policy doesn't allow toy:create to be performed."


@pytest.mark.parametrize(
    ("headers", "version"),
    [
        ({}, [2, 1]),
        ({"OpenStack-API-Version": "toy 2.50"}, [2, 50]),
        ({"OpenStack-API-Version": "other 9.9, toy 2.50"}, [2, 50]),
        ({"OpenStack-API-Version": "toy latest"}, [2, 104]),
        ({"X-OpenStack-Toy-API-Version": "2.7"}, [2, 7]),
        ({"OpenStack-API-Version": "other 9.9"}, [2, 1]),
    ],
)
def test_the_version_is_negotiated_and_said(call, headers, version):
    answer = call("GET", "/toy/v2/things/7", headers=headers)
    assert answer.json()["version"] == version
    assert answer.headers["openstack-api-version"] == f"toy {version[0]}.{version[1]}"
    assert answer.headers["x-openstack-toy-api-version"] == f"{version[0]}.{version[1]}"
    assert answer.headers["vary"] == "OpenStack-API-Version, X-OpenStack-Toy-API-Version"


@pytest.mark.parametrize(
    ("asked", "status"),
    [("2.105", 406), ("1.9", 406), ("3.0", 406), ("2", 400), ("2.01", 400), ("a.b", 400), ("-1.2", 400)],
)
def test_a_bad_version_is_refused(call, asked, status):
    assert call("GET", "/toy/v2/things/7", headers={"OpenStack-API-Version": f"toy {asked}"}).status_code == status


def test_a_route_exists_within_its_versions(call):
    assert call("GET", "/toy/v2/late").status_code == 404
    assert call("GET", "/toy/v2/late", headers={"OpenStack-API-Version": "toy 2.50"}).status_code == 200


def test_an_action_is_chosen_by_the_bodys_key_and_the_version(call):
    for version, action, said in (("2.1", "stop", "stop"), ("2.9", "go", "old go"), ("2.10", "go", "new go")):
        headers = {"OpenStack-API-Version": f"toy {version}"}
        assert call("POST", "/toy/v2/things/7/action", json={action: None}, headers=headers).json()["said"] == said


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"fly": 1}', b"null", b"3"])
def test_a_missing_action_is_400(call, body):
    assert call("POST", "/toy/v2/things/7/action", content=body).status_code == 400


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b"{}", b'{"n": "1"}', b'{"n": 1, "m": 2}', b"null"])
def test_a_body_that_does_not_fit_is_400(call, body):
    answer = call("POST", "/toy/v2/things", content=body)
    assert answer.status_code == 400
    assert answer.json()["badRequest"]["code"] == 400


def test_a_huge_body_is_413(call):
    assert call("POST", "/toy/v2/things", content=b" " * 1001).status_code == 413


def test_a_domain_error_speaks_the_dialect(call):
    assert call("GET", "/toy/v2/busy").json() == {"conflictingRequest": {"code": 409, "message": "It is busy."}}


def test_a_bug_is_500_with_the_request_id_and_no_secret(call):
    answer = call("GET", "/toy/v2/bug")
    assert answer.status_code == 500
    assert answer.headers["x-openstack-request-id"] in answer.text
    assert "hunter2" not in answer.text


def test_a_request_id_is_given_or_kept(call):
    given = call("GET", "/toy/v2/things/7").headers["x-openstack-request-id"]
    assert given.startswith("req-")
    kept = call("GET", "/toy/v2/things/7", headers={"X-OpenStack-Request-Id": given})
    assert kept.headers["x-openstack-request-id"] == given
    forged = call("GET", "/toy/v2/things/7", headers={"X-OpenStack-Request-Id": "req-\r\nx"})
    assert forged.headers["x-openstack-request-id"] != "req-\r\nx"


def test_a_stream_passes_through_beyond_the_body_limit(call):
    answer = call("PUT", "/toy/v2/bytes", content=b"x" * 100_000)
    assert (answer.headers["x-size"], answer.content) == ("100000", b"012")
    assert call("PUT", "/toy/v2/bytes", token=None, content=b"x").status_code == 401


def test_a_reply_is_json(call):
    answer = call("POST", "/toy/v2/things", json={"n": 3})
    assert answer.headers["content-type"] == "application/json"
    assert orjson.loads(answer.content) == {"said": "created", "body": {"n": 3}}


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/toy/v2/things/a%00b", None, 404),
        ("GET", "/toy/v2/things/detail?name=a%00b", None, 400),
        ("POST", "/toy/v2/things/1/action", b'{"stop": {"why": ["a\\u0000b"]}}', 400),
        ("POST", "/toy/v2/things/1/action", b'{"stop": {"a\\u0000b": 1}}', 400),
        ("POST", "/toy/v2/things/1/action", b'{"stop": {"why": "a\\\\u0000b"}}', 200),
    ],
)
def test_the_character_nul_reaches_no_handler(call, method, path, body, status):
    reply = call(method, path, "a", content=body)
    assert reply.status_code == status
