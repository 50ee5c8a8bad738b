# SPDX-License-Identifier: Apache-2.0
"""Users of the settings: how they log in, how long their tokens are good, and what they may do.

The judgement was compared with Swift's own code on random requests; here are those that show each rule.
"""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import pytest

from cumulet.kernel.errors import Forbidden, Invalid, Unauthorized
from cumulet.services.object_store.api import rights
from cumulet.services.object_store.api.filters.temp_auth import TempTokens
from cumulet.services.object_store.api.message import Body, Request, Response
from cumulet.services.object_store.logic import acls, temp_auth
from cumulet.services.object_store.logic.access import Deed
from cumulet.services.object_store.logic.temp_auth import TempRules
from cumulet.services.object_store.logic.temp_tokens import TempAuth
from cumulet.services.object_store.types.indexes import IndexState, Info, Key

RULES = TempRules(prefixes=("AUTH_", "SERVICE_"), required={"SERVICE_": ".service"})
LINES = (
    "user_admin_admin = admin .admin .reseller_admin",
    "user_test_tester = testing .admin",
    "user_test_tester3 = testing3",
    "user_test_reader = reading .reseller_reader",
    "user_glance_glance = glancing .service",
    f"user64_{base64.b64encode(b'under_score').decode().rstrip('=')}_{base64.b64encode(b'a_b').decode()} = odd",
    "user_far_away = far .admin https://elsewhere.example/v1/AUTH_moved",
)
HOST = "http://store.example:8080"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def made(lines: tuple[str, ...] = LINES, secret: bytes = b"secret", **more: Any) -> TempAuth:
    return TempAuth(RULES, temp_auth.users(lines, RULES), secret, life=60, **more)


def token_of(auth: TempAuth, user: str = "test:tester", key: str = "testing") -> str:
    answer = auth.log_in("GET", "/auth/v1.0", {"x-auth-user": user, "x-auth-key": key}, HOST)
    assert answer.status == 200
    return answer.headers["X-Auth-Token"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/auth/v1.0", {"x-auth-user": "test:tester", "x-auth-key": "testing"}),
        ("/auth/v1.0/", {"x-storage-user": "test:tester", "x-storage-pass": "testing"}),
        ("/auth/auth", {"x-auth-user": "test:tester", "x-storage-pass": "testing"}),
        ("/auth/v1/test/auth", {"x-storage-user": "tester", "x-auth-key": "testing"}),
        ("/auth/v1/test/auth", {"x-auth-user": "test:tester", "x-storage-pass": "testing"}),
    ],
    ids=["v1.0", "storage", "auth", "v1", "v1-auth-user"],
)
def test_ways_to_log_in(path: str, headers: dict[str, str]) -> None:
    answer = made().log_in("GET", path, headers, HOST)
    assert answer.status == 200
    assert answer.headers["X-Auth-Token"] == answer.headers["X-Storage-Token"]
    assert answer.headers["X-Auth-Token"].startswith("AUTH_tk")
    assert answer.headers["X-Storage-Url"] == f"{HOST}/v1/AUTH_test"
    assert answer.headers["X-Auth-Token-Expires"] == "60"


@pytest.mark.parametrize(
    ("more", "url"),
    [
        ({"scheme": "https"}, "https://store.example:8080/v1/AUTH_test"),
        ({"url": "https://front.example"}, "https://front.example/v1/AUTH_test"),
    ],
    ids=["scheme", "front"],
)
def test_addresses_behind_a_front(more: dict[str, Any], url: str) -> None:
    headers = {"x-auth-user": "test:tester", "x-auth-key": "testing"}
    assert made(**more).log_in("GET", "/auth/v1.0", headers, HOST).headers["X-Storage-Url"] == url


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "realm"),
    [
        ("PUT", "/auth/v1.0", {}, 405, None),
        ("GET", "/auth/", {}, 404, None),
        ("GET", "/auth/v2", {}, 400, None),
        ("GET", "/auth/v1/test/other", {}, 400, None),
        ("GET", "/auth/v1.0", {}, 401, "unknown"),
        ("GET", "/auth/v1.0", {"x-auth-user": "tester", "x-auth-key": "testing"}, 401, "unknown"),
        ("GET", "/auth/v1.0", {"x-auth-user": "test:tester", "x-auth-key": "wrong"}, 401, "test"),
        ("GET", "/auth/v1.0", {"x-auth-user": "test:nobody", "x-auth-key": ""}, 401, "test"),
        ("GET", "/auth/v1/test/auth", {"x-auth-user": "other:tester", "x-auth-key": "testing"}, 401, "test"),
    ],
    ids=["method", "nothing", "version", "place", "nobody", "no-account", "key", "user", "other-account"],
)
def test_who_is_not_let_in(method: str, path: str, headers: dict[str, str], status: int, realm: str | None) -> None:
    answer = made().log_in(method, path, headers, HOST)
    assert answer.status == status
    if realm is not None:
        assert answer.headers == {"Www-Authenticate": f'Swift realm="{realm}"'}


def test_tokens_outlive_restarts_and_end() -> None:
    clock = Clock()
    token = token_of(made(now=clock))
    again = made(now=clock)  # another process, with the same secret
    assert again.groups(token) == ("test", "test:tester", "AUTH_test", "SERVICE_test")
    clock.now += 60
    assert again.groups(token) is None


@pytest.mark.parametrize("change", ["secret", "key", "user"])
def test_tokens_end_with_what_they_stand_on(change: str) -> None:
    token = token_of(made())
    lines = {"key": ("user_test_tester = other .admin",), "user": ("user_test_else = testing .admin",)}
    other = made(lines.get(change, LINES), b"other" if change == "secret" else b"secret")
    assert other.groups(token) is None


def test_no_bit_of_a_token_can_be_changed() -> None:
    auth = made()
    token = token_of(auth)
    for place in range(len("AUTH_tk"), len(token) - 1):
        other = "A" if token[place] != "A" else "B"
        assert auth.groups(token[:place] + other + token[place + 1 :]) is None
    for nonsense in ("AUTH_tk", "AUTH_tk====", "AUTH_tkä", "AUTH_tk" + "A" * 80, ""):
        assert auth.groups(nonsense) is None


def test_a_service_adds_its_groups() -> None:
    auth = made()
    own, service = token_of(auth), token_of(auth, "glance:glance", "glancing")
    assert auth.groups(own, service) == (*(auth.groups(own) or ()), "glance", "glance:glance", ".service")
    assert auth.groups(own, "nonsense") == auth.groups(own)
    assert auth.groups("nonsense", service) is None


def test_users_of_lines() -> None:
    users = temp_auth.users(LINES, RULES)
    assert "under_score:a_b" in users
    assert users["far:away"].url == "https://elsewhere.example/v1/AUTH_moved"
    assert "AUTH_moved" in temp_auth.groups_of(users["far:away"], RULES)
    assert "testing" not in repr(users)


@pytest.mark.parametrize(
    "line", ["user_a = key", "admin_a_b = key", "user_a_b_c = key", "user_a_b =", "user_a_b", "user64_?_? = key"]
)
def test_lines_that_are_none(line: str) -> None:
    with pytest.raises(Invalid):
        temp_auth.users((line,), RULES)


def judged(groups: tuple[str, ...] | None, deed: Deed, acl: str = "") -> str:
    try:
        return "owner" if temp_auth.judge(RULES, groups, deed, acl) else "may"
    except Forbidden:
        return "forbidden"
    except Unauthorized:
        return "unauthorized"


def deed(method: str, path: str, acl: str = "", referrer: str = "") -> Deed:
    account, container, name = [*path.split("/", 2), "", ""][:3]
    return Deed(
        method=method, account=account, container=container, object=name, acl=acls.parse(acl), referrer=referrer
    )


ADMIN = ("test", "test:tester", "AUTH_test", "SERVICE_test")
MEMBER = ("test", "test:tester3")
SERVICE = (*ADMIN, "glance", "glance:glance", ".service")
RESELLER, READER = ("admin", "admin:admin", ".reseller_admin"), ("test", "test:reader", ".reseller_reader")


@pytest.mark.parametrize(
    ("groups", "asked", "acl", "verdict"),
    [
        (ADMIN, deed("GET", "AUTH_test"), "", "owner"),
        (ADMIN, deed("PUT", "AUTH_test/c"), "", "owner"),
        (ADMIN, deed("DELETE", "AUTH_test"), "", "forbidden"),
        (ADMIN, deed("GET", "AUTH_other"), "", "forbidden"),
        (ADMIN, deed("GET", "OTHER_test"), "", "forbidden"),
        (ADMIN, deed("GET", "SERVICE_test"), "", "forbidden"),
        (SERVICE, deed("GET", "SERVICE_test"), "", "owner"),
        (RESELLER, deed("DELETE", "AUTH_test"), "", "owner"),
        (RESELLER, deed("GET", "AUTH_.own"), "", "forbidden"),
        (READER, deed("GET", "AUTH_other/c"), "", "may"),
        (READER, deed("PUT", "AUTH_other/c"), "", "forbidden"),
        (MEMBER, deed("GET", "AUTH_test/c"), "", "forbidden"),
        (MEMBER, deed("GET", "AUTH_test/c", "test:tester3"), "", "may"),
        (MEMBER, deed("GET", "AUTH_other/c", "test"), "", "may"),
        (None, deed("GET", "AUTH_test/c"), "", "unauthorized"),
        (None, deed("GET", "AUTH_test/c", ".r:*"), "", "unauthorized"),
        (None, deed("GET", "AUTH_test/c/o", ".r:*"), "", "may"),
        (None, deed("GET", "AUTH_test/c", ".r:*,.rlistings"), "", "may"),
        (None, deed("OPTIONS", "AUTH_test/c"), "", "may"),
        (MEMBER, deed("POST", "AUTH_other"), '{"admin":["test:tester3"]}', "owner"),
        (MEMBER, deed("POST", "AUTH_other"), '{"read-write":["test"]}', "forbidden"),
        (MEMBER, deed("PUT", "AUTH_other/c"), '{"read-write":["test"]}', "may"),
        (MEMBER, deed("GET", "AUTH_other"), '{"read-only":["test"]}', "may"),
        (MEMBER, deed("PUT", "AUTH_other/c"), '{"read-only":["test"]}', "forbidden"),
        (MEMBER, deed("PUT", "AUTH_other/c"), "no list", "forbidden"),
    ],
)
def test_verdicts(groups: tuple[str, ...] | None, asked: Deed, acl: str, verdict: str) -> None:
    assert judged(groups, asked, acl) == verdict


class Engine:
    """Of one account, `AUTH_test`, with this list."""

    acl = ""

    async def info(self, key: Key, *, newest: bool = False) -> Info | None:
        metadata = {"x-account-sysmeta-core-access-control": (self.acl, 1)} if self.acl else {}
        return Info(key=key, state=IndexState(created=1, put=1, metadata=metadata))


class Site:
    def __init__(self, auth: TempAuth | None) -> None:
        self.temp_auth, self.engine = auth, Engine()


def asked(site: Site, method: str, path: str, **headers: str) -> tuple[Response, list[Request]]:
    """The answer, and what came through to the store."""
    through: list[Request] = []
    request = Request(method, path, {k.replace("_", "-"): v for k, v in headers.items()}, Body.of(b""))

    async def store(request: Request) -> Response:
        through.append(request)
        if request.authorize is not None:
            try:
                await request.authorize(request)
            except (Unauthorized, Forbidden, Invalid) as error:
                return Response(error.status, {}, error.message.encode())
        return Response(200)

    filtered: Any = TempTokens(site)  # type: ignore[arg-type]
    return asyncio.run(filtered(request, store)), through


def test_requests_with_tokens_of_its_own() -> None:
    site = Site(made())
    auth = site.temp_auth
    assert auth is not None
    answer, _ = asked(site, "GET", "/auth/v1.0", x_auth_user="test:tester", x_auth_key="testing", host="h:1")
    assert (answer.status, answer.headers["x-storage-url"]) == (200, "http://h:1/v1/AUTH_test")
    token = answer.headers["x-auth-token"]
    answer, through = asked(site, "GET", "/v1/AUTH_test", x_auth_token=token)
    assert (answer.status, through[0].owner) == (200, True)
    assert through[0].caller is not None
    assert through[0].caller.user_id == "test:tester"
    assert asked(site, "GET", "/v1/AUTH_test", x_storage_token=token)[0].status == 200
    assert asked(site, "GET", "/v1/AUTH_other", x_auth_token=token)[0].status == 403
    answer, through = asked(site, "GET", "/v1/AUTH_test/c", x_auth_token=token[:-4])
    assert (answer.status, through) == (401, [])
    assert answer.headers["www-authenticate"] == 'Swift realm="AUTH_test"'


def test_an_account_that_asks_for_a_token_adds_nothing_to_the_answer() -> None:
    site = Site(made())
    assert site.temp_auth is not None
    for headers in ({"x_auth_token": token_of(site.temp_auth)[:-4]}, {}):
        answer, _ = asked(site, "GET", '/v1/AUTH_"\r\nx: y', **headers)
        assert answer.headers["www-authenticate"] == 'Swift realm="AUTH_%22%0D%0Ax%3A%20y"'


def test_a_list_that_is_no_text_lets_nobody_in() -> None:
    request = Request("GET", "/v1/AUTH_test/c/o", {}, Body.of(b""))
    request.acl = "test:tester,\xff"
    with pytest.raises(Unauthorized):
        rights.deed(request)


def test_requests_of_others_are_left_to_others() -> None:
    for site, headers in (
        (Site(made()), {"x_auth_token": "gAAAA"}),
        (Site(None), {}),
        (Site(made(())), {"x_auth_token": "AUTH_tk"}),
    ):
        _, through = asked(site, "GET", "/v1/AUTH_test", **headers)
        assert through[0].authorize is None
    _, through = asked(Site(made()), "GET", "/v1/OTHER_test")
    assert through[0].authorize is None
    assert asked(Site(made()), "GET", "/v1/AUTH_test")[0].headers["www-authenticate"] == 'Swift realm="AUTH_test"'


def test_lists_of_accounts() -> None:
    site = Site(made())
    assert site.temp_auth is not None
    owner, member = token_of(site.temp_auth), token_of(site.temp_auth, "test:tester3", "testing3")
    _, through = asked(
        site, "POST", "/v1/AUTH_test", x_auth_token=owner, x_account_access_control='{"read-only": ["test:tester3"]}'
    )
    kept = through[0].headers["x-account-sysmeta-core-access-control"]
    assert kept == '{"read-only":["test:tester3"]}'
    assert "x-account-access-control" not in through[0].headers
    answer, _ = asked(site, "POST", "/v1/AUTH_test", x_auth_token=owner, x_account_access_control="[]")
    assert answer.status == 400
    assert answer.body.startswith(b"X-Account-Access-Control invalid: ")
    assert asked(site, "GET", "/v1/AUTH_test", x_auth_token=member)[0].status == 403
    site.engine.acl = kept
    assert asked(site, "GET", "/v1/AUTH_test", x_auth_token=member)[0].status == 200
    assert asked(site, "POST", "/v1/AUTH_test", x_auth_token=member)[0].status == 403


def test_it_tells_of_itself_where_it_is_used() -> None:
    assert dict(TempTokens(Site(made())).info) == {"tempauth": {"account_acls": True}}  # type: ignore[arg-type]
    assert not TempTokens(Site(made(()))).info  # type: ignore[arg-type]
