# SPDX-License-Identifier: Apache-2.0
"""Root secrets that a key manager keeps: what is refused until they have come, and what is no such secret."""

from __future__ import annotations

import asyncio
import json

import pytest

from cumulet.services.object_store.drivers.web import NoAnswer, WebAnswer
from cumulet.services.object_store.engine.encrypted import Encrypted
from cumulet.services.object_store.engine.keys import Secrets
from cumulet.services.object_store.logic.key_fetching import KeyFetcher, KeyManager
from support.object_store import in_memory, serving

KEY = bytes(range(32))
OPTIONS = {
    "auth_endpoint": "http://identity.example/v3",
    "username": "swift",
    "password": "pass-word",
    "project_name": "service",
    "user_domain_name": "Default",
    "project_domain_name": "Default",
    "key_id": "0000-one",
}
ABOUT = {
    "secret_type": "symmetric",
    "algorithm": "AES",
    "bit_length": 256,
    "content_types": {"default": "application/octet-stream"},
}
CATALOG = [
    {"type": "image", "endpoints": [{"interface": "public", "url": "http://image.example"}]},
    {
        "type": "key-manager",
        "endpoints": [
            {"interface": "internal", "region_id": "one", "url": "http://inside.example"},
            {"interface": "public", "region_id": "two", "url": "http://two.example"},
            {"interface": "public", "region_id": "one", "url": "http://one.example/key-manager"},
        ],
    },
]


class FakeWeb:
    """Identity and a key manager; `answers` are what it says in place of its own, by the end of an address."""

    def __init__(self, **answers):
        self.answers, self.asked = answers, []

    async def ask(self, method, url, headers, body=b""):
        self.asked.append((method, url, dict(headers), body))
        end = url.rpartition("/")[2]
        kind = end if end in ("tokens", "payload") else "secret"
        if kind in self.answers:
            found = self.answers[kind]
            if isinstance(found, Exception):
                raise found
            return found
        if kind == "tokens":
            said = {"token": {"catalog": CATALOG}}
            return WebAnswer(201, {"x-subject-token": "to-ken"}, json.dumps(said).encode())
        if kind == "payload":
            return WebAnswer(200, {}, KEY)
        return WebAnswer(200, {}, json.dumps(ABOUT).encode())


def fetched(web, options=None, known=None):
    secrets = Secrets(known or {}, None)
    fetcher = KeyFetcher(KeyManager.of({**OPTIONS, **(options or {})}), secrets, web)
    return asyncio.run(fetcher.run()), secrets


def test_secrets_come_by_the_catalogue():
    web = FakeWeb()
    count, secrets = fetched(
        web,
        {"barbican_region_name": "one", "key_id_new": "http://x/v1/secrets/0000-two", "active_root_secret_id": "new"},
    )
    assert (count, secrets.there) == (2, True)
    assert secrets.seal("/a", "use", b"value").startswith("1;new;")
    assert [asked[:2] for asked in web.asked] == [
        ("POST", "http://identity.example/v3/auth/tokens"),
        ("GET", "http://one.example/key-manager/v1/secrets/0000-one"),
        ("GET", "http://one.example/key-manager/v1/secrets/0000-one/payload"),
        ("GET", "http://one.example/key-manager/v1/secrets/0000-two"),
        ("GET", "http://one.example/key-manager/v1/secrets/0000-two/payload"),
    ]
    assert json.loads(web.asked[0][3])["auth"] == {
        "identity": {
            "methods": ["password"],
            "password": {"user": {"name": "swift", "password": "pass-word", "domain": {"name": "Default"}}},
        },
        "scope": {"project": {"name": "service", "domain": {"name": "Default"}}},
    }
    assert {asked[2].get("x-auth-token") for asked in web.asked[1:]} == {"to-ken"}


def test_ids_and_an_endpoint_of_its_own():
    web = FakeWeb()
    own = {
        "auth_endpoint": "http://identity.example",
        "user_id": "u",
        "project_id": "p",
        "barbican_endpoint": "http://b/v1/",
    }
    assert fetched(web, own)[0] == 1
    assert [asked[1] for asked in web.asked[:2]] == [
        "http://identity.example/v3/auth/tokens",
        "http://b/v1/secrets/0000-one",
    ]
    said = json.loads(web.asked[0][3])["auth"]
    assert said["identity"]["password"]["user"] == {"id": "u", "password": "pass-word"}
    assert said["scope"] == {"project": {"id": "p"}}


def about(**more):
    return WebAnswer(200, {}, json.dumps(ABOUT | more).encode())


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"tokens": NoAnswer("identity.example:80 cannot be reached.")}, "cannot be reached"),
        ({"tokens": WebAnswer(401, {}, b"pass-word")}, "identity answered 401"),
        ({"tokens": WebAnswer(201, {}, b"{}")}, "identity answered 201"),
        ({"tokens": WebAnswer(201, {"x-subject-token": "t"}, b"[]")}, "cannot be read"),
        ({"tokens": WebAnswer(201, {"x-subject-token": "t"}, b"{}")}, "has no key manager"),
        ({"secret": WebAnswer(404, {}, b"")}, "answered 404 for the secret 0000-one"),
        ({"secret": WebAnswer(200, {}, b"no")}, "cannot be read"),
        ({"secret": about(secret_type="opaque")}, "is not a symmetric key"),
        ({"secret": about(bit_length=128)}, "at least 256 bits"),
        ({"secret": about(bit_length=None)}, "at least 256 bits"),
        ({"secret": about(algorithm="des")}, "at least 256 bits"),
        ({"secret": about(content_types={"default": "text/plain"})}, "raw format"),
        ({"secret": about(content_types=None)}, "raw format"),
        ({"payload": WebAnswer(403, {}, b"")}, "answered 403 for the payload"),
        ({"payload": WebAnswer(200, {}, bytes(31))}, "less than 32 bytes"),
    ],
    ids=range(15),
)
def test_what_is_no_secret_is_said_once_and_nothing_secret_with_it(caplog, answers, words):
    secrets = Secrets({}, None)
    web = FakeWeb(**answers)
    fetcher = KeyFetcher(KeyManager.of(OPTIONS), secrets, web)

    async def twice():
        return [await fetcher.run() for _ in range(2)]

    assert asyncio.run(twice()) == [0, 0]
    assert not secrets.there
    assert caplog.text.count(words) == 1
    assert not any(each in caplog.text for each in ("pass-word", "to-ken", KEY.hex()))
    assert "pass-word" not in repr(KeyManager.of(OPTIONS))
    web.answers.clear()
    assert asyncio.run(fetcher.run()) == 1


def test_a_name_that_the_settings_have_too(caplog):
    assert fetched(FakeWeb(), known={"": KEY})[0] == 0
    assert "two root secrets ''" in caplog.text


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"key_id": ""}, "key_id is no id"),
        ({"key_id": "a b"}, "key_id is no id"),
        ({"active_root_secret_id": "new"}, "no key_id for active_root_secret_id 'new'"),
        ({"auth_endpoint": ""}, "auth_endpoint is no address"),
        ({"barbican_endpoint": "key-manager"}, "barbican_endpoint is no address"),
        ({"trust_id": "t"}, "there is no trust_id"),
        ({"keys": "t"}, "there is no keys"),
    ],
    ids=["empty", "id", "active", "identity", "barbican", "trust", "keys"],
)
def test_settings_that_cannot_be(options, words):
    with pytest.raises(ValueError, match=words):
        KeyManager.of({**OPTIONS, **options})


def test_nothing_is_read_or_written_before_they_have_come():
    secrets = Secrets({}, None)
    with serving(lambda: Encrypted(in_memory(), secrets)) as found:
        client = found.client()
        assert client.put("/c").status_code == 201
        for method, path in (("GET", "/c"), *((each, "/c/o") for each in ("PUT", "GET", "HEAD", "POST", "DELETE"))):
            assert client.request(method, path, content=b"" if method == "PUT" else None).status_code == 503
        assert client.head("").status_code == 204
        secrets.take({"": KEY}, "")
        assert client.put("/c/o", content=b"body").status_code == 201
        assert client.get("/c/o").content == b"body"
