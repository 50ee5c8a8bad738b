# SPDX-License-Identifier: Apache-2.0
"""What other services may do with secrets, with the rights of whom they act for and within their own commit."""

from __future__ import annotations

import pytest

from cumulet.kernel.auth import Authenticator
from cumulet.kernel.errors import Forbidden, NotFound, TooLarge
from cumulet.services.key_manager.contract import Consumer, KeyManagerContract, NewSecret
from support.caller import Caller
from support.people import environment

WHO = Consumer("block-storage", "volume", "v1")


@pytest.fixture(scope="module")
def words(cloud):
    return environment(cloud)


@pytest.fixture
def keys(cloud):
    return cloud.control.cloud.contracts.use(KeyManagerContract)


@pytest.fixture
def db(cloud):
    return cloud.control.cloud.db


@pytest.fixture
def caller(cloud, words):
    authenticator = cloud.control.cloud.contracts.use(Authenticator)
    return lambda who: authenticator.context(words[f"{who}_TOKEN"])


@pytest.fixture
def stored(keys, db, caller):
    """A secret that a service has stored for a member."""
    sealed = keys.seal(
        caller("MEMBER"), NewSecret(payload=b"\x01" * 32, type="symmetric", algorithm="aes", bit_length=256)
    )
    kept = db.write(lambda tx: keys.store(tx, sealed))
    yield kept
    db.write(lambda tx: keys.delete(tx, kept))


def test_it_comes_back(keys, caller, stored):
    found = keys.fetch(caller("MEMBER"), stored)
    assert (found.payload, found.type, found.algorithm, found.bit_length) == (b"\x01" * 32, "symmetric", "aes", 256)
    assert keys.fetch(caller("MEMBER"), f"http://somewhere/key-manager/v1/secrets/{stored}") == found


def test_others_have_no_more_rights_than_over_the_api(keys, caller, stored):
    for who in ("READER", "OTHER", "ADMIN"):
        with pytest.raises(Forbidden):
            keys.fetch(caller(who), stored)
    with pytest.raises(Forbidden):
        keys.seal(caller("READER"), NewSecret(payload=b"x"))


def test_what_is_not_committed_is_not_there(keys, db, caller):
    sealed = keys.seal(caller("MEMBER"), NewSecret(payload=b"x"))

    def fails(tx):
        keys.store(tx, sealed)
        raise KeyError

    with pytest.raises(KeyError):
        db.write(fails)
    with pytest.raises(NotFound):
        keys.fetch(caller("MEMBER"), sealed.id)


def test_a_consumer_keeps_a_secret(cloud, words, keys, db, caller, stored):
    api = Caller(
        int(cloud.control_url.rpartition(":")[2]), words["MEMBER_TOKEN"], {"OpenStack-API-Version": "key-manager 1.2"}
    )
    ctx = caller("MEMBER")
    for _ in range(2):
        db.write(lambda tx: keys.add_consumer(tx, ctx, stored, WHO))
    assert api("GET", f"/key-manager/v1/secrets/{stored}")["consumers"] == [
        {"service": "block-storage", "resource_type": "volume", "resource_id": "v1"}
    ]
    assert api.ask("DELETE", f"/key-manager/v1/secrets/{stored}")[0] == 400
    for _ in range(2):
        db.write(lambda tx: keys.remove_consumer(tx, stored, WHO))
    assert api.ask("DELETE", f"/key-manager/v1/secrets/{stored}")[0] == 204


def test_a_bundle(cloud, words, keys, caller):
    api = Caller(int(cloud.control_url.rpartition(":")[2]), words["MEMBER_TOKEN"])
    refs = []
    for name in ("certificate", "private_key"):
        body = {"payload": name, "payload_content_type": "text/plain"}
        ref = api("POST", "/key-manager/v1/secrets", body)["secret_ref"]
        refs.append({"name": name, "secret_ref": ref})
    ref = api("POST", "/key-manager/v1/containers", {"type": "certificate", "secret_refs": refs})["container_ref"]
    found = keys.bundle(caller("MEMBER"), ref)
    assert {name: one.payload for name, one in found.items()} == {
        "certificate": b"certificate", "private_key": b"private_key",
    }  # fmt: skip
    with pytest.raises(Forbidden):
        keys.bundle(caller("OTHER"), ref)


def test_what_is_too_large_is_refused(keys, caller):
    with pytest.raises(TooLarge):
        keys.seal(caller("MEMBER"), NewSecret(payload=b"x" * 20_001))


def test_what_is_not_there_is_gone_already(keys, db):
    db.write(lambda tx: keys.delete(tx, "11111111-1111-4111-8111-111111111111"))
    db.write(lambda tx: keys.remove_consumer(tx, "11111111-1111-4111-8111-111111111111", WHO))
