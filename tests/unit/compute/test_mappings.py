# SPDX-License-Identifier: Apache-2.0
"""Block device mappings of requests and images become one list, or are refused in Nova's words."""

from __future__ import annotations

import json

import pytest

from cumulet.kernel.errors import Invalid
from cumulet.services.compute.logic import mappings
from cumulet.services.compute.logic.mappings import DeviceRequest

ROOT_NAME = "/dev/vda"


def volume(**words):
    return DeviceRequest(**{"source_type": "volume", "destination_type": "volume", "source_id": "v", **words})


def blank(**words):
    return DeviceRequest(**{"source_type": "blank", "destination_type": "local", "boot_index": -1, **words})


def merged(asked, words=None, *, legacy=False, image_id=""):
    return mappings.merge(asked, mappings.of_image(words or {}), legacy=legacy, image_id=image_id, root_name=ROOT_NAME)


def words_of(*entries, **more):
    return {"bdm_v2": "True", "block_device_mapping": json.dumps(entries), **more}


SNAPSHOT = {"source_type": "snapshot", "destination_type": "volume", "snapshot_id": "s", "boot_index": 0}


def refused(requests, **flavor):
    granted = {"ephemeral": 0, "swap": 0, "several": False, **flavor}
    with pytest.raises(Invalid) as caught:
        mappings.check(requests, **granted)
    return caught.value.code


def test_an_image_alone_is_the_root_disk():
    (root,) = merged([], legacy=True, image_id="i")
    assert (root.source_type, root.destination_type, root.boot_index, root.source_id) == ("image", "local", 0, "i")


def test_the_disks_of_an_image_take_the_place_of_its_copy():
    image = mappings.local_root("i")
    for found in (merged([], words_of(SNAPSHOT), legacy=True, image_id="i"), merged([image], words_of(SNAPSHOT))):
        assert [(each.source_type, each.source_id, each.boot_index) for each in found] == [("snapshot", "s", 0)]


def test_of_two_disks_with_one_name_the_request_has_its_way():
    words = words_of({**SNAPSHOT, "device_name": "/dev/vdb", "boot_index": -1}, SNAPSHOT)
    found = merged([volume(device_name="/dev/vdb", boot_index=-1)], words)
    assert [each.source_type for each in found] == ["volume", "snapshot"]
    found = merged([blank(device_name="/dev/vdb", no_device=True)], words)
    assert [each.boot_index for each in found] == [0]


def test_the_first_syntax_boots_from_what_is_called_vda():
    found = merged([volume(device_name="/dev/vdb"), volume(device_name="/dev/vda", source_id="w")], legacy=True)
    assert [each.boot_index for each in found] == [-1, 0]
    found = merged([volume(device_name="/dev/vdb")], legacy=True, image_id="i")
    assert [(each.source_type, each.boot_index) for each in found] == [("image", 0), ("volume", -1)]


def test_an_image_of_the_first_syntax():
    entries = [{"device_name": "vda", "snapshot_id": "s"}, {"device_name": "vdb", "virtual_name": "ephemeral0"}]
    found = merged([], {"block_device_mapping": json.dumps(entries)}, legacy=True, image_id="i")
    assert [(each.source_type, each.boot_index) for each in found] == [("snapshot", 0), ("blank", -1)]


def test_mappings_name_the_flavors_disks():
    virtual = [{"virtual": "root", "device": "sda1"}, {"virtual": "swap", "device": "sdb"}, {"virtual": "ami"}]
    words = {"mappings": json.dumps(virtual)}
    assert mappings.root_name_of(words) == "/dev/sda1"
    found = merged([], words, legacy=True, image_id="i")
    assert [(each.source_type, each.device_name, each.is_swap) for each in found] == [
        ("image", "", False),
        ("blank", "/dev/sdb", True),
    ]


def test_what_an_image_says_is_what_was_written():
    request = volume(boot_index=0, device_name="/dev/vda", volume_size=3, disk_bus="scsi", tag="a", volume_type="fast")
    assert mappings.of_image(words_of(mappings.to_words(request))) == [request]


@pytest.mark.parametrize(
    "words",
    [
        {"block_device_mapping": "{"},
        {"block_device_mapping": "[1]"},
        {"block_device_mapping": '[{"device_name": "a b", "volume_id": "v"}]'},
        {"block_device_mapping": '[{"device_name": "vda"}]'},
        words_of({}),
        words_of({**SNAPSHOT, "boot_index": "first"}),
        words_of({**SNAPSHOT, "boot_index": 1 << 40}),
        words_of({**SNAPSHOT, "volume_size": []}),
        words_of({**SNAPSHOT, "snapshot_id": 7}),
        {"mappings": "no"},
    ],
)
def test_an_image_whose_words_make_no_sense_is_refused(words):
    with pytest.raises(Invalid, match="Block Device Mapping is Invalid"):
        merged([], words, legacy=True, image_id="i")


ROOT = mappings.local_root("i")


@pytest.mark.parametrize(
    ("requests", "flavor", "code"),
    [
        ([volume(boot_index=0)], {"several": True}, "InvalidRequest"),
        ([], {}, "InvalidBDMBootSequence"),
        ([volume(boot_index=1)], {}, "InvalidBDMBootSequence"),
        ([volume(boot_index=0), ROOT], {}, "InvalidBDMBootSequence"),
        ([volume(boot_index=0), volume(boot_index=2)], {}, "InvalidBDMBootSequence"),
        ([volume(source_type="image", boot_index=0)], {}, "InvalidBDM"),
        ([ROOT, volume(source_type="blank", source_id=None)], {}, "InvalidBDM"),
        ([volume(boot_index=0, destination_type="local")], {}, "InvalidBDMFormat"),
        ([volume(boot_index=0, disk_bus="belt")], {}, "InvalidBDMDiskBus"),
        ([ROOT, blank(volume_size=2)], {"ephemeral": 1}, "InvalidBDMEphemeralSize"),
        ([ROOT, blank(), blank(volume_size=1)], {"ephemeral": 2}, "InvalidBDMEphemeralSize"),
        ([ROOT, blank(guest_format="swap"), blank(guest_format="swap")], {"swap": 9}, "InvalidBDMFormat"),
        ([ROOT, blank(guest_format="swap", volume_size=10)], {"swap": 9}, "InvalidBDMSwapSize"),
        ([ROOT, *[blank(volume_size=1)] * 3], {"ephemeral": 9}, "InvalidBDMLocalsLimit"),
        ([ROOT, *[blank(volume_size=1)] * 2], {"ephemeral": 9, "swap": 9}, "InvalidBDMLocalsLimit"),
    ],
)
def test_what_makes_no_server_is_refused(requests, flavor, code):
    assert refused(requests, **flavor) == code


def test_the_flavor_grants_what_fits():
    asked = [ROOT, blank(volume_size=1), blank(volume_size=2)]
    mappings.check(asked, ephemeral=3, swap=0, several=True)
    mappings.check([ROOT, blank(guest_format="swap", volume_size=9)], ephemeral=3, swap=9, several=False)


@pytest.mark.parametrize(
    ("device", "legacy", "fine"), [("/dev/vda", False, False), ("/dev/vda", True, True), ("/dev/vdb", False, True)]
)
def test_no_volume_is_called_as_the_root_disk_of_an_image(device, legacy, fine):
    asked = [volume(device_name=device, boot_index=0)]
    if fine:
        merged(asked, legacy=legacy, image_id="i")
    else:
        with pytest.raises(Invalid, match="same device name as the root device vda"):
            merged(asked, legacy=legacy, image_id="i")
