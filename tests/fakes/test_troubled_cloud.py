# SPDX-License-Identifier: Apache-2.0
"""A whole cloud on fakes that have trouble: what can be tried again succeeds, what cannot ends in a clean error."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from cumulet.kernel.injection import FILE
from support.caller import Caller
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until


@pytest.fixture
def trouble(cloud: RunningCloud) -> Iterator[Callable[[str], None]]:
    """Put the faults of this text in force until the test ends."""
    path = cloud.settings.state / FILE
    yield path.write_text
    path.unlink(missing_ok=True)


@pytest.fixture
def api(cloud: RunningCloud) -> Caller:
    return Caller(cloud.settings.control.port, environment(cloud)["MEMBER_TOKEN"])


def make_volume(api: Caller) -> str:
    made = api("POST", "/block-storage/v3/volumes", {"volume": {"size": 1, "name": secrets.token_hex(4)}})
    return made["volume"]["id"]


def fate(api: Caller, volume: str) -> str:
    """What becomes of the volume."""

    def look() -> str | None:
        status = api("GET", f"/block-storage/v3/volumes/{volume}")["volume"]["status"]
        return None if status == "creating" else status

    return until(look)


@pytest.mark.parametrize("kind", ["fail", "lose_answer", "delay"])
def test_passing_trouble_costs_time_alone(api, trouble, kind):
    trouble(f'[[fault]]\nplace = "block_storage.fake.create_blank"\nkind = "{kind}"\nseconds = 0.2\ncount = 2\n')
    assert fate(api, make_volume(api)) == "available"


@pytest.mark.parametrize("error", ["Conflict", "Bug"])
def test_lasting_trouble_ends_in_an_error(api, trouble, error):
    trouble(f'[[fault]]\nplace = "block_storage.fake.create*"\nkind = "fail"\nerror = "{error}"\n')
    assert fate(api, make_volume(api)) == "error"


def test_trouble_of_another_host_is_nobodys_here(api, trouble):
    trouble('[[fault]]\nplace = "*"\nkind = "fail"\nerror = "Conflict"\nhost = "another"\n')
    assert fate(api, make_volume(api)) == "available"


def test_a_copy_for_an_image_that_was_cut_off_goes_with_the_next_start(cloud, tmp_path):
    copy = tmp_path / "agent" / "compute-images" / "image.qcow2"
    copy.parent.mkdir(parents=True)
    copy.touch()
    with cloud.one_more_host("host-cut-off", tmp_path):
        assert not copy.exists()


def test_no_volume_is_sent_to_a_host_that_has_left(api, cloud, tmp_path):
    """The one that left had as much room; that it is gone is known long before its last word is old."""
    with cloud.one_more_host("host-to-leave", tmp_path):
        pass
    volumes = [make_volume(api) for _ in range(8)]
    assert {fate(api, volume) for volume in volumes} == {"available"}
