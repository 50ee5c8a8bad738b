# SPDX-License-Identifier: Apache-2.0
"""New keys lose nothing: tokens, receipts and credentials outlive them, in every process at once."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import msgspec
import pytest
from identity_cloud import make_cloud
from people import by_password, log_in, user

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity import cli
from cumulet.services.identity.logic import credentials, keys, providers, rotation, tokens
from cumulet.services.identity.store import credentials as store


@pytest.fixture(params=["fernet", "jws"])
def provider(request: pytest.FixtureRequest, cloud: Cloud) -> Cloud:
    """A cloud of either provider of tokens."""
    settings = msgspec.structs.replace(cloud.settings.identity, token_provider=request.param)
    cloud.settings = msgspec.structs.replace(cloud.settings, identity=settings)
    return cloud


@pytest.fixture
def other_process(provider: Cloud) -> Iterator[Cloud]:
    other = make_cloud(provider.settings.state)
    yield other
    other.db.close()


def rotate(cloud: Cloud, times: int = 1) -> None:
    for _ in range(times):
        for ring in keys.ALL:
            rotation.rotate(cloud.db, cloud.vault, cloud.settings.identity, ring)


def held(cloud: Cloud, ring: str) -> list[int]:
    found = cloud.vault.get(ring)
    assert found is not None
    return sorted(msgspec.json.decode(found, type=dict[int, str]))


def test_no_session_is_lost(provider: Cloud, other_process: Cloud) -> None:
    texts = []
    who = user(provider, "eve")
    for _ in range(4):
        texts.append(log_in(provider, password=by_password(who))[0])
        rotate(provider, 2)
    for process in (provider, other_process):
        assert [tokens.read(process, text).user.id for text in texts] == [who.id] * 4


def test_a_process_that_slept_through_rotations_opens_what_is_sealed_now(provider: Cloud, other_process: Cloud) -> None:
    who = user(provider, "eve")
    tokens.read(other_process, log_in(provider, password=by_password(who))[0])
    rotate(provider, 3)
    for ring in (keys.tokens(provider), keys.signatures(provider)):
        ring._read_at = float("-inf")
    text, _ = log_in(provider, password=by_password(who))
    for ring in (keys.tokens(other_process), keys.signatures(other_process)):
        ring._read_at -= keys.READ_AGAIN
    assert tokens.read(other_process, text).user.id == who.id


def test_forged_tokens_do_not_make_it_read_the_keys_each_time(provider: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    text, _ = log_in(provider, password=by_password(user(provider, "eve")))
    reads = []
    get = provider.vault.get
    monkeypatch.setattr(provider.vault, "get", lambda *words: (reads.append(words), get(*words))[1])
    for at in range(20):
        with pytest.raises(providers.NotAToken):
            providers.unseal(provider, text[:-8] + f"{at:08d}")
    assert len(reads) <= 4


def test_keys_go_when_nothing_they_sealed_is_alive(cloud: Cloud) -> None:
    rotate(cloud, 6)
    assert held(cloud, keys.TOKENS) == [0, 1, 2, 3, 4, 5, 6, 7]
    later = clock.now() + cloud.settings.identity.token_lifetime + cloud.settings.identity.allow_expired_window + 1
    try:
        clock.set_source(lambda: later)
        rotate(cloud)
    finally:
        clock.set_source()
    assert held(cloud, keys.TOKENS) == [0, 7, 8]


def test_a_token_of_the_other_provider_is_still_taken(cloud: Cloud) -> None:
    who = user(cloud, "eve")
    fernet, _ = log_in(cloud, password=by_password(who))
    settings = msgspec.structs.replace(cloud.settings.identity, token_provider="jws")
    cloud.settings = msgspec.structs.replace(cloud.settings, identity=settings)
    signed, _ = log_in(cloud, password=by_password(who))
    assert fernet.count(".") == 0
    assert signed.count(".") == 2
    assert tokens.read(cloud, fernet).user == tokens.read(cloud, signed).user


def test_credentials_are_sealed_anew(cloud: Cloud) -> None:
    made = credentials.create(cloud, {"type": "cert", "blob": "what eve keeps", "user_id": "eve"})
    sealed = store.find_all(cloud.db)[0].blob
    rotate(cloud, 5)
    assert store.find_all(cloud.db)[0].blob != sealed
    fresh = make_cloud(cloud.settings.state)
    assert credentials.get(fresh, fresh.db, made.id).blob == "what eve keeps"
    fresh.db.close()


def test_a_token_under_a_key_that_is_gone_is_none(cloud: Cloud) -> None:
    text, _ = log_in(cloud, password=by_password(user(cloud, "eve")))
    for _ in range(4):
        keys.rotate(cloud.vault, keys.TOKENS)
    keys.tokens(cloud)._read_at = float("-inf")
    with pytest.raises(Unauthorized):
        tokens.read(cloud, text)


def run(cloud: Cloud, *words: str) -> list[str]:
    parser = argparse.ArgumentParser()
    cli.arguments(parser.add_subparsers(dest="action", required=True))
    return cli.run(cloud.settings, cloud.db, cloud.vault, parser.parse_args(words))


def test_the_command_rotates(cloud: Cloud) -> None:
    told = run(cloud, "rotate-keys")
    assert told == [f"{name}: key 2 seals now" for name in ("credentials", "receipts", "signatures", "tokens")]
    assert run(cloud, "rotate-keys", "--ring", "tokens") == ["tokens: key 3 seals now"]
    assert held(cloud, keys.TOKENS) == [0, 1, 2, 3]


def test_the_command_flushes_trusts(cloud: Cloud) -> None:
    assert run(cloud, "trust-flush", "--project-id", "none", "--date", "31-12-2026") == ["0 trusts are forgotten"]
    with pytest.raises(SystemExit):
        run(cloud, "trust-flush", "--date", "tomorrow")
