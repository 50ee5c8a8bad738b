# SPDX-License-Identifier: Apache-2.0
"""Plays each recorded scenario on a cloud of its own, and compares what it answers with what OpenStack answered."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from cumulet.cli import dev_record
from cumulet.cli.recording.client import Cloud, Login, NotThere
from cumulet.cli.recording.compare import differences, is_of
from cumulet.cli.recording.play import play
from cumulet.cli.recording.scenario import names, read, read_given
from cumulet.cli.recording.stable import facts
from support.cloud import RunningCloud
from support.engines import ENGINES
from support.waiting import until

HERE = Path(__file__).parent
SCENARIOS = HERE / "scenarios"
DATA = HERE / "data"
# Settings of the clouds that scenarios ask for by their `kind`, and what they serve besides identity (nothing: all).
KINDS: dict[str, dict[str, Any]] = {
    "": {},
    "limits": {"image_use.use_keystone_limits": "true"},
    "plain": {"image.cache_size": "0"},
    "stores": {
        "image.stores": [
            {"id": "fast", "type": "file", "description": "the fast one", "weight": 10},
            {"id": "cheap", "type": "file", "description": "the cheap one"},
            {"id": "web", "type": "http", "description": "what is elsewhere"},
        ],
        "image.show_multiple_locations": True,
        "image.show_image_direct_url": True,
    },
    "strict": {
        "identity.limit_model": "strict_two_level",
        "security_compliance.lockout_failure_attempts": "3",
        "security_compliance.password_expires_days": "90",
        "security_compliance.password_regex": r"^(?=.*\d)(?=.*[a-zA-Z]).{7,}$",
        "security_compliance.password_regex_description": "Seven letters and digits.",
        "security_compliance.unique_last_password_count": "2",
    },
}
_IMAGES = ("identity", "image")
SERVED = {"": (), "limits": _IMAGES, "plain": _IMAGES, "stores": _IMAGES, "strict": ("identity",)}

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def target(engine, pytestconfig, tmp_path_factory):
    """Clouds that nothing else changes, by their kind, on the database in turn; made when first asked for."""
    made = {}

    def of(kind):
        if kind not in made:
            url = pytestconfig.stash[ENGINES].new_url(engine)
            own = RunningCloud(tmp_path_factory.mktemp("recorded"), SERVED[kind], url, KINDS[kind])
            ending.callback(own.close)
            cloud = Cloud(Login(f"{own.control_url}/identity/v3", "admin", own.admin_password, "admin"))
            until(lambda: _is_entered(cloud))
            made[kind] = cloud
        return made[kind]

    with ExitStack() as ending:
        yield of


def _is_entered(cloud):
    """Whether all is there that the scenarios name: a host is listed a moment after it has joined."""
    try:
        cloud.enter()
    except NotThere:
        return False
    return True


@pytest.mark.in_turn
@pytest.mark.parametrize("name", names(SCENARIOS))
def test_the_cloud_answers_as_openstack_did(name, target):
    scenario = read(SCENARIOS, name)
    recorded = dev_record.load(DATA / f"{name}.json")
    assert is_of(recorded, scenario.steps), f"the scenario has changed since: cumulet dev record {name}"
    ours = facts(play(target(scenario.kind), scenario, read_given(SCENARIOS, scenario)))
    found = differences(scenario.steps, recorded, ours)
    assert not found, f"{len(found)} differences\n" + "\n".join(map(str, found))


def test_every_recording_has_its_scenario():
    recorded = {str(path.relative_to(DATA).with_suffix("")) for path in DATA.glob("*/*.json")}
    assert recorded == set(names(SCENARIOS))
