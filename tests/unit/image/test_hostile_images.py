# SPDX-License-Identifier: Apache-2.0
"""Images that attack whoever opens them are refused at each way in, and by a host before anything opens them."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from cumulet.kernel.diskimage import Reader, candidates
from cumulet.kernel.errors import Invalid
from cumulet.services.block_storage.drivers.file import FileBackend
from cumulet.services.image.logic.inspect import USUAL, Rules, check
from support.cloud import RunningCloud
from support.hostile_images import ATTACKS, HONEST, NAMED, QCOW2_DATA_FILE, Hostile, qcow2
from support.people import environment
from support.waiting import until

MIB = 1 << 20
needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
EVERY_ATTACK = [
    pytest.param(attack, declared, id=f"{attack.name} as {declared}")
    for attack in ATTACKS
    for declared in attack.declared
]


def reader(content: bytes) -> Reader:
    return lambda offset, length: content[offset : offset + length]


def judged(content: bytes, declared: str, rules: Rules = USUAL, container: str = "bare") -> int | None:
    return check(reader(content), len(content), declared, container, rules)


@pytest.mark.parametrize(("attack", "declared"), EVERY_ATTACK)
def test_an_attack_is_refused_under_any_name(attack: Hostile, declared: str) -> None:
    with pytest.raises(Invalid):
        judged(attack.content, declared)


@pytest.mark.parametrize(("attack", "declared"), EVERY_ATTACK)
def test_an_attack_is_refused_though_formats_need_not_match(attack: Hostile, declared: str) -> None:
    lenient = Rules(require_format_match=False, vmdk_allowed_types=("monolithicFlat", "monolithicSparse"))
    with pytest.raises(Invalid, match="Image failed safety checks"):
        judged(attack.content, declared, lenient)


@pytest.mark.parametrize(("declared", "content"), HONEST)
def test_what_the_attacks_are_made_of_is_fine_itself(declared: str, content: bytes) -> None:
    assert judged(content, declared) == MIB
    assert judged(content, "raw") == len(content)


def test_an_operator_chooses_how_strict_to_be() -> None:
    qcow2 = dict(HONEST)["qcow2"]
    assert judged(qcow2, "vmdk", Rules(require_format_match=False)) is None
    sparse = next(content for name, content in HONEST if name == "vmdk")
    with pytest.raises(Invalid, match="safety checks"):
        judged(sparse, "vmdk", Rules(vmdk_allowed_types=()))
    record = bytes(510) + b"\x55\xaa" + bytes(512)
    with pytest.raises(Invalid, match="safety checks"):
        judged(record, "raw")
    with pytest.raises(Invalid, match="safety checks"):
        judged(record, "ami")
    assert judged(record, "raw", Rules(gpt_safety_checks_nonfatal=("mbr",))) == len(record)
    assert judged(record, "aki") is None


def test_only_what_hosts_may_open_is_looked_into_at_the_way_in() -> None:
    for attack in ATTACKS:
        assert judged(attack.content, attack.declared[0], container="ova") is None


@pytest.fixture
def client(cloud: RunningCloud) -> Iterator[httpx.Client]:
    headers = {"X-Auth-Token": environment(cloud)["MEMBER_TOKEN"], "Accept": "application/json"}
    with httpx.Client(base_url=f"{cloud.data_url}/image/v2", headers=headers, timeout=60) as made:
        yield made


@pytest.mark.parametrize("number", [0, 4, 21])
def test_an_attack_does_not_come_in(client: httpx.Client, number: int) -> None:
    """By an upload, nor by an import; in the end the image is queued, and without data."""
    attack = ATTACKS[number]
    octets = {"Content-Type": "application/octet-stream"}
    words = {"disk_format": attack.declared[0], "container_format": "bare"}
    image_id = client.post("/images", json=words).json()["id"]
    answer = client.put(f"/images/{image_id}/file", content=attack.content, headers=octets)
    assert answer.status_code == 415
    assert "Image failed safety checks" in answer.text
    assert client.put(f"/images/{image_id}/stage", content=attack.content, headers=octets).status_code == 204
    answer = client.post(f"/images/{image_id}/import", json={"method": {"name": "glance-direct"}})
    assert answer.status_code == 202
    until(lambda: client.get(f"/images/{image_id}").json()["status"] == "queued")
    assert client.get(f"/images/{image_id}/file").status_code == 204


def test_the_files_that_attacks_name_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is read of an image comes through the reader that is given."""
    monkeypatch.chdir(tmp_path)

    def refuse(*words: object, **more: object) -> object:
        raise AssertionError(f"{words} was opened")

    monkeypatch.setattr("builtins.open", refuse)
    monkeypatch.setattr("os.open", refuse)
    for attack in ATTACKS:
        content = attack.content
        candidates(reader(content), len(content))


@needs_qemu
def test_what_a_guest_writes_never_becomes_a_format(tmp_path: Path) -> None:
    """CVE-2026-24708: a disk that begins as a qcow2 does is resized and copied as what it was made."""
    victim, image = tmp_path / "victim", tmp_path / "image"
    victim.write_bytes(b"of the host" * 50_000)
    for written in (qcow2(backing=str(victim).encode()), qcow2(features=QCOW2_DATA_FILE, extensions=NAMED)):
        image.write_bytes(written)
        volumes = FileBackend(tmp_path / uuid.uuid4().hex)
        volumes.create_from_image("volume", MIB, image, "raw")
        volumes.extend("volume", 2 * MIB)
        volumes.export("volume", tmp_path / "out", "raw")
        assert (tmp_path / "out").read_bytes() == written.ljust(2 * MIB, b"\0")
        (tmp_path / "out").unlink()
    assert victim.read_bytes() == b"of the host" * 50_000
