# SPDX-License-Identifier: Apache-2.0
"""Logs: their fields, the two forms, and that no secret gets into them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
import time
import warnings

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given
from hypothesis import strategies as st

from cumulet.kernel import log
from cumulet.kernel.errors import Invalid
from cumulet.kernel.redact import is_secret_name, redact, redact_text

TOKEN = Fernet(Fernet.generate_key()).encrypt(b"user and project").decode()
KEY = (
    ed25519.Ed25519PrivateKey.generate()
    .private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    .decode()
)  # fmt: skip


@pytest.fixture(autouse=True)
def _restored():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    logging.captureWarnings(False)
    for handler in root.handlers[:]:
        root.removeHandler(handler)
    for handler in handlers:
        root.addHandler(handler)
    root.setLevel(level)


@pytest.fixture
def lines():
    stream = io.StringIO()
    log.setup("debug", stream, "json")
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_record_has_its_fields(lines):
    token = log.request_id.set("req-1")
    try:
        log.get("cumulet.x").info("server %s deleted", "a", extra={"server_id": "a", "count": 2, "level": "?"})
    finally:
        log.request_id.reset(token)
    log.get("cumulet.x").warning("no request")
    first, second = lines()
    assert first.pop("time").endswith("Z")
    assert first == {
        "level": "info", "logger": "cumulet.x", "request_id": "req-1", "message": "server a deleted",
        "server_id": "a", "count": 2,
    }  # fmt: skip
    assert set(second) == {"time", "level", "logger", "message"}


def test_a_traceback_stands_in_the_record(lines):
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        log.get("x").exception("failed")
    (record,) = lines()
    assert "ValueError: password=***" in record["exception"]
    assert "test_log.py" in record["exception"]
    assert "hunter2" not in json.dumps(record)


def test_text_is_one_readable_line_and_shows_controls():
    stream = io.StringIO()
    log.setup("info", stream, "text")
    token = log.request_id.set("req-2")
    log.get("x").warning("a\nb\x1b[31m", extra={"server_id": "s"})
    log.request_id.reset(token)
    log.get("x").debug("not shown")
    line = stream.getvalue()
    assert line.endswith("warning x [req-2] a\\nb\\x1b[31m server_id=s\n")
    assert line.count("\n") == 1


def test_json_is_chosen_off_a_terminal_and_text_on_one():
    stream = io.StringIO()
    log.setup(stream=stream)
    log.get("x").info("m")
    assert json.loads(stream.getvalue())["message"] == "m"
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    log.setup(stream=terminal)
    log.get("x").info("m")
    assert terminal.getvalue().endswith("info    x m\n")
    assert len(logging.getLogger().handlers) == 1


def test_levels_change_while_running(lines):
    levels = log.Levels("info")
    levels.turn({"logger": "cumulet.noisy", "level": "error"})
    log.get("cumulet.noisy.part").warning("hidden")
    levels.turn({"logger": "cumulet.noisy", "level": "debug"})
    log.get("cumulet.noisy.part").debug("seen")
    assert [record["message"] for record in lines()] == ["seen"]
    with pytest.raises(Invalid, match="no such log level"):
        levels.turn({"logger": "root", "level": "loud"})
    with pytest.raises(ValueError, match="no such log level"):
        log.setup("loud")


def test_warnings_of_python_are_logged(lines):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn("token=abc", stacklevel=1)
    (record,) = lines()
    assert record["logger"] == "py.warnings"
    assert "token=***" in record["message"]


def test_a_record_that_cannot_be_formatted_shows_nothing_but_its_logger():
    stream = io.StringIO()
    log.setup("info", stream, "json")
    log.get("x").info("%d", "password=hunter2")
    assert "hunter2" not in stream.getvalue()
    assert "a record of x" in stream.getvalue()


def test_anything_can_be_an_extra():
    extra = {"object": object, "odd": {1: {2}, "x": b"\xff"}, "name_\udcff": "\udcff", "big": 2**70}
    record = json.loads(log.JsonFormatter().format(logging.makeLogRecord({"msg": "m \udcff", **extra})))
    assert record["message"] == "m ?"
    assert record["odd"] == {"1": [2], "x": "\ufffd"}


@given(st.text(max_size=30), st.dictionaries(st.text(max_size=5).map("x_".__add__), st.text(max_size=5), max_size=3))
def test_every_text_becomes_one_line(message, extra):
    for formatter in (log.JsonFormatter(), log.TextFormatter()):
        record = logging.makeLogRecord({"msg": message, "name": "x", "levelname": "INFO", **extra})
        line = formatter.format(record)
        assert len(line.split("\n")) == 1


SECRETS = [
    f"validated {TOKEN} for user",
    f"X-Auth-Token: {TOKEN[:12]}hunter2",
    "headers {'X-Auth-Token': 'hunter2', 'Accept': '*/*'}",
    "{'x-subject-token': 'hunter2'}",
    'body {"auth": {"identity": {"password": {"user": {"password": "hunter2 \\"x"}}}}}',
    "password=hunter2",
    "adminPass: hunter2",
    "OS_PASSWORD=hunter2 openstack",
    "secret = 'hunter2'",
    "postgresql://cumulet:hunter2@db/cumulet",
    "openstack --os-password hunter2 token issue",
    "agent --join-token=hunter2",
    "['cumulet', '--password', 'hunter2']",
    "Authorization: Bearer hunter2",
    "authorization: Basic hunter2",
    "Set-Cookie: hunter2; path=/",
    "api_key=hunter2&x=1",
    "$2b$12$hunter2hunter2hunter2hunter2hunter2hunter2hunter2hunt",
    f"key:\n{KEY}",
    KEY.replace("\n", "\\n"),
    "-----BEGIN RSA PRIVATE KEY-----\nhunter2",
    json.dumps({"body": json.dumps({"password": "hunter2"})}),
    "cut off: {'password': 'hunter2 and",
    "secrets: ['a', 'hunter2']",
    "user=password=hunter2",
    "fernet_key=hunter2 private-key: hunter2",
    "password=b'hunter2'",
    "password=a, b=c, secret=hunter2",
]


@pytest.mark.parametrize("text", SECRETS, ids=range(len(SECRETS)))
def test_texts_lose_their_secrets(lines, text):
    log.get("x").info(text, extra={"seen": text, "deep": {"list": [text]}})
    log.get("x").info("%s", text)
    shown = json.dumps(lines())
    assert "hunter2" not in shown
    assert TOKEN not in shown
    assert KEY.splitlines()[2] not in shown
    assert "***" in shown


@pytest.mark.parametrize(
    "part",
    ["password", "token=a ", "--password ", "://", "a.", "gAAAA", 'secret="', "secret='\"", "secret=[", "x-", "://@",
     " ", "-----BEGIN "],
)  # fmt: skip
def test_no_text_takes_long(part):
    start = time.process_time()
    redact_text(part * 20_000 + "password")
    assert time.process_time() - start < 1


def test_fields_lose_their_secrets_by_name(lines):
    names = [
        "password", "original_password", "adminPass", "admin_pass", "X-Auth-Token", "X-Subject-Token", "token",
        "token_id", "secret", "client_secret", "private_key", "fernet_keys", "Authorization", "cookie", "join_token",
        "api-key",
    ]  # fmt: skip
    assert [name for name in names if not is_secret_name(name)] == []
    log.get("x").info("m", extra=dict.fromkeys(names, "hunter2") | {"headers": {names[0]: ["hunter2"]}})
    assert "hunter2" not in json.dumps(lines())


def test_what_is_said_of_secrets_is_none():
    said = {
        "authorization_ttl": 5,
        "token_ttl": 5,
        "password_expires_at": "2026",
        "ignore_password_expiry": True,
        "ignore_change_password_upon_first_use": "x",
    }
    assert redact(said) == said
    assert (
        redact_text("the field authorization_ttl: five is no number")
        == "the field authorization_ttl: five is no number"
    )
    for name in ("authorization", "x-authorization-token", "ttl_token", "password_expiry_secret_x"):
        assert redact({name: "hunter2"}) == {name: "***"}


@pytest.mark.parametrize(
    "text",
    [
        "server a deleted in 3 s",
        "passing 3 tokens to the bucket",
        "https://example.org:5000/v3/auth/tokens answered 201",
        "the keypair's public_key: ssh-ed25519 AAAA",
        "token expired",
        "no password given",
        "flavor key: value",
        "path /v3/users/1/password",
    ],
)
def test_other_texts_stay_as_they_are(text):
    assert redact_text(text) == text


def test_other_values_stay_as_they_are():
    value = {
        "key_name": "k",
        "count": 2,
        "ok": True,
        "none": None,
        "has_token": None,
        "list": [1.5, "x"],
        "tokens_used": 3,
    }
    assert redact(value) == value


def test_the_first_line_on_stderr_is_cheap_to_reach():
    code = "import sys, cumulet.kernel.log as log; log.setup(); log.get('x').info('m'); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr)["message"] == "m"
    assert not {"sqlalchemy", "starlette", "jsonschema"} & set(done.stdout.split("'"))


@pytest.mark.parametrize(
    "text",
    [
        "GET /compute/v2.1/os-console-auth-tokens/{} 200",
        '127.0.0.1:4242 - "WebSocket /console/vnc?token={}" [accepted]',
        "ws://cloud.example:8701/console/serial?token={}",
    ],
)
def test_addresses_of_consoles_lose_their_tokens(text):
    token = "b4ad5e54-5f0c-4d0c-a5d8-1a52f5bd1a5d"
    assert token not in redact_text(text.format(token))
