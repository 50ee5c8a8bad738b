# SPDX-License-Identifier: Apache-2.0
"""What the settings of an encoded policy may say, and that nobody else needs the library for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import msgspec
import pytest

from cumulet.kernel.doctor import Finding
from cumulet.kernel.errors import Invalid
from cumulet.services.object_store import doctor
from cumulet.services.object_store.engine.coded import coder
from cumulet.services.object_store.engine.coded.scheme import Scheme
from cumulet.services.object_store.logic import home, standing
from cumulet.settings.base import decode
from cumulet.settings.object_store import ObjectStore

CODED = {"number": 1, "name": "deep", "type": "erasure_coding", "ec_type": "isa_l_rs_cauchy"}
CODED |= {"ec_num_data_fragments": 2, "ec_num_parity_fragments": 1}


def store(count=3, /, **policy):
    devices = [{"name": f"d{number}", "folder": f"/nowhere/d{number}"} for number in range(count)]
    told = {"devices": devices, "part_power": 4, "policies": [CODED | policy]}
    return msgspec.convert(told, ObjectStore, dec_hook=decode)


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ({"type": "replication"}, "says how to encode"),
        ({"type": "other"}, "Invalid enum value 'other'"),
        ({"ec_type": ""}, "lacks one of ec_type"),
        ({"ec_num_parity_fragments": 0}, "lacks one of"),
        ({"ec_type": "flat_xor_hd_3"}, "none of isa_l_rs_cauchy"),
        ({"ec_num_data_fragments": 30, "ec_num_parity_fragments": 3}, "more than 32 fragments"),
        ({"ec_type": "isa_l_rs_vand", "ec_num_parity_fragments": 5}, "take isa_l_rs_cauchy"),
        ({"replicas": 3}, "its fragments are its replicas"),
        ({"ec_duplication_factor": 2}, "needs 6 devices for its fragments, and there are 3"),
        ({"ec_duplication_factor": 0}, ">= 1"),
        ({"devices": ["d0", "d1"]}, "needs 3 devices for its fragments, and there are 2"),
        ({"ec_object_segment_size": 0}, ">= 1"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, dict) else "",
)
def test_what_contradicts_itself_is_refused(policy, words):
    with pytest.raises(msgspec.ValidationError, match=words):
        store(**policy)


def test_a_ring_has_a_place_for_each_fragment(tmp_path):
    for number in range(4):
        (tmp_path / f"d{number}").mkdir()
    settings = store(4, ec_object_segment_size=1000)
    devices = tuple(msgspec.structs.replace(each, folder=tmp_path / each.name) for each in settings.devices)
    settings = msgspec.structs.replace(settings, devices=devices)
    found = home.prepare(tmp_path / "store", settings)
    assert found.policies[1].scheme == Scheme(type="isa_l_rs_cauchy", data=2, parity=1, segment=1000)
    assert found.policies[0].scheme is None

    async def opened(settings):
        await (await standing.Standing.open(tmp_path / "store", settings)).close()

    asyncio.run(opened(settings))
    wider = msgspec.structs.replace(settings.policies[0], ec_num_parity_fragments=2)
    with pytest.raises(Invalid, match="Policy deep has 4 fragments of each object, and its ring has places for 3"):
        asyncio.run(opened(msgspec.structs.replace(settings, policies=(wider,))))


def test_the_library_is_needed_by_encoded_policies_alone(monkeypatch):
    script = (
        "import sys, cumulet.objects, cumulet.services.object_store.logic.standing; print('pyeclib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=60, text=True)
    assert done.stdout.split() == ["False"]
    [policy] = store().policies
    assert doctor.code(policy) == Finding("ok", "isa_l_rs_cauchy 2+1")
    coder.coder_for.cache_clear()
    monkeypatch.setitem(sys.modules, "pyeclib", None)
    with pytest.raises(Invalid, match=r"pip install 'cumulet\[erasure\]'"):
        coder.coder_for(Scheme(type="isa_l_rs_vand", data=7, parity=3))
    assert doctor.code(policy).status == "missing"


def test_a_code_that_the_library_lacks():
    with pytest.raises(Invalid, match=r"The erasure code no_such 2\+1 cannot be had"):
        coder.coder_for(Scheme(type="no_such", data=2, parity=1))


@pytest.mark.parametrize(("data", "parity", "copies"), [(2, 1, 1), (4, 2, 1), (10, 4, 1), (2, 4, 1), (3, 2, 2)])
def test_quorums_meet(data, parity, copies):
    scheme = Scheme(type="isa_l_rs_vand", data=data, parity=parity, copies=copies)
    writers = scheme.writers(1)
    readers = scheme.readers(writers)
    assert writers + readers > scheme.replicas
    assert 2 * writers > scheme.replicas
    assert writers >= (data + 1) * copies
    assert writers <= scheme.replicas
