# SPDX-License-Identifier: Apache-2.0
"""Guests stand still while their disks are copied, as far as their agents and images say."""

from __future__ import annotations

import msgspec
import pytest

from cumulet.kernel.errors import Conflict
from cumulet.kernel.ids import new_uuid
from cumulet.kernel.link.host import Journal
from cumulet.services.compute.agent.quiesce import quiesced
from cumulet.services.compute.drivers.fake import FakeHypervisor
from cumulet.services.compute.types import Guest, ServerSpec


class Lab:
    """A server on the fake hypervisor, by what its image says of quiescing."""

    def __init__(self, tmp_path, supplies):
        self.hypervisor = FakeHypervisor(Journal(tmp_path / "fake"), supplies, lambda *_: None)
        supplies.add_image("image")
        self.spec = ServerSpec(id=new_uuid(), vcpus=1, ram=64, image_id="image", image_format="raw")

    def run(self, **guest):
        self.spec = msgspec.structs.replace(self.spec, guest=Guest(**guest))
        self.hypervisor.build(self.spec)
        self.hypervisor.start(self.spec)

    @property
    def is_held(self):
        return self.hypervisor._read(self.spec.id).is_quiesced


@pytest.fixture
def lab(tmp_path, supplies):
    return Lab(tmp_path, supplies)


def test_a_guest_with_an_agent_is_held_meanwhile(lab):
    lab.run(agent=True)
    with quiesced(lab.hypervisor, lab.spec):
        assert lab.is_held
    assert not lab.is_held
    with pytest.raises(RuntimeError), quiesced(lab.hypervisor, lab.spec):
        raise RuntimeError
    assert not lab.is_held


def test_a_guest_that_was_left_held_goes_on_in_the_end(lab):
    lab.run(agent=True)
    lab.hypervisor.quiesce(lab.spec.id)
    with quiesced(lab.hypervisor, lab.spec):
        assert lab.is_held
    assert not lab.is_held


def test_a_guest_without_an_agent_writes_on(lab):
    lab.run()
    with quiesced(lab.hypervisor, lab.spec):
        assert not lab.is_held


def test_a_guest_that_must_be_held_is_not_copied_otherwise(lab):
    lab.run(needs_quiesce=True)
    with (
        pytest.raises(Conflict, match="guest agent is not enabled"),
        quiesced(lab.hypervisor, lab.spec),
    ):
        pass
    lab.hypervisor.stop(lab.spec.id, 0)
    with quiesced(lab.hypervisor, lab.spec):
        pass
