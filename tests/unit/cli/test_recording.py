# SPDX-License-Identifier: Apache-2.0
"""What makes two plays of one scenario comparable, and what their comparison tells."""

from __future__ import annotations

import uuid

import pytest
from keystoneclient.contrib.ec2.utils import Ec2Signer
from oauthlib.oauth1 import Client

from cumulet.cli import dev_record
from cumulet.cli.recording import signing
from cumulet.cli.recording.client import Answer
from cumulet.cli.recording.compare import differences, is_of
from cumulet.cli.recording.play import Exchange, Played, kept
from cumulet.cli.recording.scenario import BadScenario, Step, dig, fill, read, read_given
from cumulet.cli.recording.stable import facts


def played(url, suffix, **words):
    """A play of two steps on a cloud whose ids, times and addresses are its own."""
    known, fresh = str(uuid.uuid4()), str(uuid.uuid4())
    body = {
        "server": {
            "id": known,
            "name": f"s-{suffix}",
            "host": fresh,
            "created": words.get("created", "2026-01-02T03:04:05Z"),
            "links": [{"href": f"{url}/v2.1/servers/{known}"}],
            "addr": words.get("addr", "10.0.0.7"),
            "roles": words.get("roles", [{"name": "b"}, {"name": "a"}]),
        }
    }
    step = Step(
        ask="GET /servers/{server}", actor="member", sort={"server.roles": "name"}, apart=words.get("apart", {})
    )
    again = Answer(404, {"content-type": "text/plain", "vary": "x"}, f"no {fresh} in {uuid.uuid4()}")
    exchanges = [
        Exchange(step, None, Answer(200, {"content-type": "application/json; charset=UTF-8"}, body)),
        Exchange(step, None, again),
    ]
    return Played(exchanges, {"server": known, "suffix": suffix}, {"compute": url})


def test_what_only_one_play_can_know_is_the_same_in_all():
    ours = facts(played("http://127.0.0.1:1/compute", "beef"))
    theirs = facts(played("http://10.1.1.1:8774", "cafe", roles=[{"name": "a"}, {"name": "b"}], addr="10.0.0.9"))
    assert ours == theirs
    server = ours[0].body["server"]
    assert server["id"] == "<server>"
    assert server["host"] == "<id 1.server.host>"
    assert server["created"] == "<time 0000-00-00T00:00:00Z>"
    assert server["links"] == [{"href": "<compute>/v2.1/servers/<server>"}]
    assert ours[0].headers == {"content-type": "application/json"}
    assert ours[1].body == "no <id 1.server.host> in <id 2>"
    assert "vary" not in ours[1].headers


def test_a_difference_says_where_unless_it_is_declared():
    theirs, ours = played("http://a:1", "1234beef"), played("http://b:1", "5678cafe", created="2026-01-02 03:04:05")
    steps = [exchange.step for exchange in theirs.exchanges]
    (found,) = differences(steps, facts(theirs), facts(ours))
    assert (found.number, found.at) == (1, "body.server.created")
    assert "recorded '<time 0000-00-00T00:00:00Z>'" in str(found)
    apart = {"body.server.c*": "another format"}
    steps = [exchange.step for exchange in played("http://a:1", "1234beef", apart=apart).exchanges]
    assert not differences(steps, facts(theirs), facts(ours))


def test_a_recording_is_written_and_read_back_and_knows_its_steps(tmp_path):
    play = played("http://a:1", "1234beef")
    dev_record.write(tmp_path / "compute" / "one.json", facts(play))
    found = dev_record.load(tmp_path / "compute" / "one.json")
    assert found == facts(play)
    steps = [exchange.step for exchange in play.exchanges]
    assert is_of(found, steps)
    assert not is_of(found, steps[:1])


def test_placeholders_take_their_values_and_their_types():
    values = {"id": 5, "name": "x"}
    assert fill({"{name}": ["{id}", "a-{id}", None]}, values.__getitem__) == {"x": [5, "a-5", None]}
    assert dig({"a": [{"b": 1}]}, "a.0.b") == 1
    with pytest.raises(KeyError):
        dig({"a": []}, "a.0")


def test_a_scenario_multiplies_its_steps_by_versions_and_refuses_nonsense(tmp_path):
    (tmp_path / "given.yaml").write_text("thing:\n- ask: POST /things\n")
    (tmp_path / "compute").mkdir()
    path = tmp_path / "compute" / "one.yaml"
    path.write_text('about: x\nservice: compute\ngiven: [thing]\nsteps:\n- ask: GET /a\n  versions: ["2.1", "2.2"]\n')
    scenario = read(tmp_path, "compute/one")
    assert [(step.version, step.actor, step.service) for step in scenario.steps] == [
        ("2.1", "member", "compute"),
        ("2.2", "member", "compute"),
    ]
    assert [step.ask for step in read_given(tmp_path, scenario)] == ["POST /things"]
    path.write_text("about: x\nservice: compute\nsteps:\n- ask: FETCH /a\n")
    with pytest.raises(BadScenario):
        read(tmp_path, "compute/one")


def test_all_steps_are_played_for_each_set_of_words(tmp_path):
    (tmp_path / "identity").mkdir()
    (tmp_path / "identity" / "one.yaml").write_text(
        'about: x\nservice: identity\nas: "{who}"\n'
        'each: [{who: member, place: "/a/{project}"}, {who: admin, place: /b}]\n'
        "steps:\n- ask: GET {place}/{id}\n- ask: GET /c\n  as: reader\n"
    )
    steps = read(tmp_path, "identity/one").steps
    assert [(step.actor, step.ask) for step in steps] == [
        ("member", "GET /a/{project}/{id}"),
        ("reader", "GET /c"),
        ("admin", "GET /b/{id}"),
        ("reader", "GET /c"),
    ]


def test_a_step_keeps_of_bodies_headers_and_forms():
    answer = Answer(200, {"location": "there"}, "oauth_token=a%2Fb&oauth_token_secret=c")
    assert kept(answer, ":location") == "there"
    assert kept(answer, "&oauth_token") == "a/b"
    assert kept(Answer(200, {}, {"ref": "http://a/b/c"}), "ref/") == "c"
    with pytest.raises(KeyError):
        kept(answer, "&nothing")


@pytest.mark.parametrize("version", ["0", "1", "2", "4"])
def test_requests_are_signed_as_clients_of_ec2_sign(version):
    words = signing.ec2({"access": "key", "secret": "a secret", "version": version}, "", "")
    signed = {"headers": {}, "body_hash": "", **words, "params": dict(words["params"])}
    assert Ec2Signer("a secret").generate(signed) == words["signature"]


def test_requests_are_signed_as_clients_of_oauth_sign():
    words = {"consumer": "c", "consumer_secret": "s&s", "token": "t", "token_secret": "x", "verifier": "a b"}
    header = signing.oauth1(words, "POST", "http://127.0.0.1:5000/v3/OS-OAUTH1/access_token")
    said = dict(pair.split("=", 1) for pair in header.removeprefix("OAuth ").replace('"', "").split(", "))
    client = Client("c", "s&s", "t", "x", verifier="a b")
    client.nonce, client.timestamp = said["oauth_nonce"], said["oauth_timestamp"]
    _, theirs, _ = client.sign("http://127.0.0.1:5000/v3/OS-OAUTH1/access_token", "POST")
    assert f'oauth_signature="{said["oauth_signature"]}"' in theirs["Authorization"]


def test_a_passcode_is_that_of_the_specification(monkeypatch):
    monkeypatch.setattr(signing.time, "time", lambda: 1111111109.0)  # RFC 6238, appendix B
    assert signing.totp({"secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"}, "", "") == "081804"
