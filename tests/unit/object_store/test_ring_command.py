# SPDX-License-Identifier: Apache-2.0
"""`cumulet ring`, as its user has it."""

from __future__ import annotations

import os

import pytest

from cumulet.cli import main
from cumulet.kernel import lock
from cumulet.services.object_store.ring import builders, files


@pytest.fixture
def ring(tmp_path, capsys):
    """Run an action on `object.builder`: exit status and what was said."""

    def run(action, *words, builder="object.builder"):
        status = main(["ring", action, str(tmp_path / builder), *map(str, words)])
        said = capsys.readouterr()
        return status, said.out + said.err

    return run


@pytest.fixture
def made(ring):
    """A ring of four disks in two zones."""
    ring("create", 6, 2, 1)
    places = [f"r1z{zone}-10.0.{zone}.1:6200/sd{disk}" for zone in (1, 2) for disk in "ab"]
    ring("add", *(word for place in places for word in (place, 100)))
    ring("rebalance", "--seed", 1)
    return ring


def test_a_ring_from_its_beginning_to_its_servers(ring, tmp_path):
    assert ring("create", 6, 2, 1) == (0, "")
    status, said = ring("add", "r1z1-10.0.1.1:6200/sda", 100, "z2-10.0.2.1:6200R10.9.2.1:6300/sdb_ssd of 2026", 50)
    assert status == 0
    assert said.splitlines()[0] == "device 0: r1z1-10.0.1.1:6200/sda 100"
    assert ring("add", "r2z1-[fd00::1]:6200/sdc", 150)[0] == 0
    status, said = ring("rebalance", "--seed", 1)
    assert status == 0
    assert said.startswith("128 replicas moved; balance 1.56 %, dispersion 0.00 %\n")
    assert ring("verify") == (0, "the ring is as it should be\n")
    status, said = ring("show")
    assert "2**6 partitions, 2 replicas" in said
    assert "r2z1-fd00::1:6200/sdc" in said
    second = files.read(tmp_path / "object.ring.gz").devices[1]
    assert (second.replication_ip, second.replication_port, second.meta) == ("10.9.2.1", 6300, "ssd of 2026")
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()
    status, said = ring("distribute", one, other / "mine.ring.gz")
    assert (status, said.count("written")) == (0, 2)
    assert (one / "object.ring.gz").read_bytes() == (other / "mine.ring.gz").read_bytes()
    assert ring("distribute", one)[1] == f"{one / 'object.ring.gz'}: the same already\n"


def test_devices_change_and_their_replicas_move_with_the_next_rebalance(made, tmp_path):
    assert made("set-weight", 0, 50)[0] == 0
    assert made("remove", 3)[0] == 0
    assert made("verify") == (1, "removed devices wait for a rebalance\n")
    assert made("rebalance", "--seed", 2)[0] == 0
    held = builders.read(tmp_path / "object.builder").held()
    assert sorted(held) == [0, 1, 2]
    assert made("set-replicas", 3)[0] == made("set-overload", 0.1)[0] == made("set-min-part-hours", 0)[0] == 0
    assert made("rebalance", "--seed", 3)[0] == 0
    assert set(builders.read(tmp_path / "object.builder").held().values()) == {64}


def test_a_ring_is_taken_over(made, tmp_path):
    assert made("write-ring", "--format", 2)[0] == 0
    assert made("take", tmp_path / "object.ring.gz", builder="other.builder") == (0, "")
    assert made("write-ring", builder="other.builder")[0] == 0
    one, other = (files.read(tmp_path / f"{name}.ring.gz") for name in ("object", "other"))
    assert (one.rows, one.devices) == (other.rows, other.devices)


def test_an_older_ring_never_takes_a_later_ones_place(made, tmp_path):
    place, aside = tmp_path / "place", tmp_path / "aside"
    place.mkdir()
    aside.mkdir()
    older = (tmp_path / "object.ring.gz").read_bytes()
    made("set-weight", 0, 50)
    made("rebalance")
    assert made("distribute", place)[0] == 0
    later = (place / "object.ring.gz").read_bytes()
    (tmp_path / "object.ring.gz").write_bytes(older)
    status, said = made("distribute", place, aside)
    assert status == 1
    assert "is version 9, and" in said
    assert (place / "object.ring.gz").read_bytes() == later
    assert not (aside / "object.ring.gz").exists()
    assert made("verify")[0] == 1


def test_another_ring_of_the_same_version_or_of_another_size_is_no_successor(made, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    made("distribute", place)
    assert "There is no folder" in made("create", 7, 2, 1, builder="larger/object.builder")[1]
    (tmp_path / "larger").mkdir()
    made("create", 7, 2, 1, builder="larger/object.builder")
    made("add", "z1-10.0.0.1:6200/a", 1, "z2-10.0.0.1:6200/b", 1, builder="larger/object.builder")
    made("rebalance", builder="larger/object.builder")
    status, said = made("distribute", place, builder="larger/object.builder")
    assert (status, "is another ring: it has 2**6 partitions, not 2**7" in said) == (1, True)
    ring = files.read(place / "object.ring.gz")
    ring.rows[0][0], ring.rows[1][0] = ring.rows[1][0], ring.rows[0][0]
    files.write(place / "object.ring.gz", ring)
    status, said = made("distribute", place)
    assert (status, "too, and says something else" in said) == (1, True)


def test_what_is_killed_between_draft_and_name_leaves_the_older_ring(made, tmp_path, monkeypatch):
    place = tmp_path / "place"
    place.mkdir()
    made("distribute", place)
    before = (place / "object.ring.gz").read_bytes()
    made("set-weight", 0, 50)
    made("rebalance")

    def dies(*words):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", dies)
        assert made("distribute", place)[0] == 130
    assert (place / "object.ring.gz").read_bytes() == before
    assert made("distribute", place)[0] == 0
    assert (place / "object.ring.gz").read_bytes() == (tmp_path / "object.ring.gz").read_bytes()


def test_one_at_a_time_changes_a_builder(made, tmp_path):
    with lock.hold(tmp_path / ".object.builder.lock"):
        status, said = made("set-weight", 0, 50)
    assert (status, "holds" in said) == (1, True)
    assert builders.read(tmp_path / "object.builder").devices[0].weight == 100


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(("create", 6, 2, 1), "is there already", id="create-again"),
        pytest.param(
            ("add", "r1z1-10.0.1.1:6200/sda", 100), "There is a device sda at 10.0.1.1:6200 already", id="twice"
        ),
        pytest.param(("add", "r1z1-10.0.1.1:6200/sdx"), "followed by a weight", id="no-weight"),
        pytest.param(("add", "r1z1-10.0.1.1:6200/sdx", "much"), "much is no weight", id="weight"),
        pytest.param(("add", "r1z1-10.0.1.1:6200/sdx", "-1"), "from 0 to 1e+18", id="negative"),
        pytest.param(("add", "r1z1-10.0.1.1:6200/sdx", "nan"), "from 0 to 1e+18", id="nan"),
        pytest.param(("add", "sdx", 100), "'sdx' is no place such as", id="place"),
        pytest.param(("add", "z\u0661-10.0.1.1:6200/sdx", 100), "is no place such as", id="digits"),
        pytest.param(("add", "z1-10.0.1.1:99999/sdx", 100), "A port is a number", id="port"),
        pytest.param(("remove", 9), "There is no device 9", id="remove"),
        pytest.param(("set-weight", 9, 1), "There is no device 9", id="set-weight"),
        pytest.param(("set-replicas", 0.5), "at least one replica", id="replicas"),
        pytest.param(("set-replicas", "nan"), "at least one replica", id="replicas-nan"),
        pytest.param(("set-overload", "-0.1"), "not below 0", id="overload"),
        pytest.param(("set-min-part-hours", -1), "Hours are from 0", id="hours"),
        pytest.param(("set-min-part-hours", 10**30), "Hours are from 0", id="hours-long"),
        pytest.param(("add", "z1-10.0.1.1:6200/s\udcff", 100), "is no place such as", id="bytes"),
        pytest.param(("add", f"z1{'0' * 30}-10.0.1.1:6200/sdx", 100), "Regions and zones are", id="zone"),
        pytest.param(("add", "z1-10.0.1.1:6200/sdx", "1e300"), "from 0 to 1e+18", id="heavy"),
        pytest.param(("rebalance", "--seed", -1), "not below 0", id="seed"),
        pytest.param(
            ("distribute", "/nowhere/at/all/x.ring.gz"), "There is no folder /nowhere/at/all", id="distribute"
        ),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(made, tmp_path, words, said):
    before = (tmp_path / "object.builder").read_bytes()
    status, told = made(*words)
    assert (status, said in told) == (1, True), told
    assert (tmp_path / "object.builder").read_bytes() == before


@pytest.mark.parametrize("words", [("show",), ("rebalance",), ("distribute", ".")], ids=lambda words: words[0])
def test_a_builder_that_is_not_there(ring, words):
    status, said = ring(*words)
    assert (status, "No such file" in said) == (1, True)


def test_a_ring_that_was_never_rebalanced(ring):
    ring("create", 6, 2, 1)
    assert ring("verify") == (1, "it was never rebalanced\n")
    assert ring("write-ring")[0] == 1
    assert "need as many devices" in ring("rebalance")[1]


def test_devices_get_another_address_and_nothing_moves(made, tmp_path):
    before = files.read(tmp_path / "object.ring.gz")
    status, said = made("set-address", "10.0.1.1:6200", "10.9.9.9:6201")
    assert (status, said.count("10.9.9.9:6201/sd")) == (0, 2)
    after = files.read(tmp_path / "object.ring.gz")
    assert after.rows == before.rows
    assert (after.version or 0) > (before.version or 0)
    assert {(each.ip, each.port) for each in after.devices} == {("10.9.9.9", 6201), ("10.0.2.1", 6200)}
    assert made("verify") == (0, "the ring is as it should be\n")
    for words, why in (
        (("10.0.1.1:6200", "10.0.2.1:6200"), "There are no devices at 10.0.1.1:6200"),
        (("10.9.9.9:6201", "10.0.2.1:6200"), "that are called so: sda, sdb"),
        (("10.9.9.9", "10.0.2.1:6200"), "of the form"),
    ):
        status, said = made("set-address", *words)
        assert status == 1
        assert why in said
    assert files.read(tmp_path / "object.ring.gz").version == after.version


def test_a_machine_of_its_own_has_nobody_to_bring_a_ring_to(made, tmp_path, monkeypatch):
    monkeypatch.setenv("CUMULET_STATE", str(tmp_path / "state"))
    status, said = made("distribute")
    assert status == 1
    assert "object_store.address" in said
    monkeypatch.setenv("CUMULET_OBJECT_STORE__ADDRESS", "10.0.1.1")
    status, said = made("distribute")
    assert status == 1
    assert "has no badge yet" in said
    made("set-address", "10.0.1.1:6200", "127.0.0.1:6200")
    status, said = made("distribute")
    assert status == 1
    assert "ring set-address" in said
