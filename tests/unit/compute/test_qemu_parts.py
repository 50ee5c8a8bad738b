# SPDX-License-Identifier: Apache-2.0
"""The parts of the QEMU driver that need no QEMU, or only its tools."""

from __future__ import annotations

import io
import shutil
import socket
import struct
from pathlib import Path

import pytest
from pycdlib import PyCdlib

from cumulet.kernel import qmp, run
from cumulet.kernel.errors import Conflict
from cumulet.services.block_storage.contract import BlockDisk, NetworkDisk
from cumulet.services.compute.drivers.base import Disk
from cumulet.services.compute.drivers.qemu import accelerator, configdrive, console, overlay
from cumulet.services.compute.drivers.qemu.command_line import (
    Inheritance,
    Machine,
    block_arguments,
    command_line,
    credentials,
    credentials_arguments,
)
from cumulet.services.compute.types import PortSpec, ServerSpec, VolumeSpec

SPEC = ServerSpec(
    id="9a438d88-10c6-4bcd-8b5b-5b6e25e1346f",
    vcpus=2,
    ram=512,
    image_id="image",
    ports=[PortSpec(id="p1", mac="fa:16:3e:00:00:01", mtu=1450)],
    volumes=[VolumeSpec(volume_id="11111111-2222-3333-4444-555555555555", device="/dev/vdb")],
    config_drive={"openstack/latest/meta_data.json": b"{}"},
)
INHERITED = Inheritance(sockets={"control.sock": 7, "events.sock": 8, "serial.sock": 9}, taps={"p1": [10]})


def words(spec: ServerSpec, machine: Machine) -> list[str]:
    volumes = {volume.volume_id: Disk(path="/v,1.qcow2", format="qcow2") for volume in spec.volumes}
    return command_line(spec, Path("/servers/x"), machine, volumes, INHERITED)


def test_command_line():
    line = words(SPEC, Machine(accelerator="tcg"))
    text = " ".join(line)
    assert "tcg,thread=multi,tb-size=128" in line
    assert "-cpu" not in line
    assert "filename=/v,,1.qcow2" in text
    assert "virtio-blk-pci,drive=vol-11111111-2222-3333-4,id=disk-11111111-2222-3333-4444-555555555555" in text
    assert "serial=11111111-2222-3333-4" in text
    assert "tap,id=tap-p1,fd=10" in line
    assert "host_mtu=1450" in text
    assert text.index("drive=root") < text.index("drive=vol-")


def test_command_line_with_kvm_passes_the_processor_through():
    line = words(SPEC, Machine(accelerator="kvm"))
    assert line[line.index("-accel") + 1] == "kvm"
    assert line[line.index("-cpu") + 1] == "host"


@pytest.mark.skipif(shutil.which("as") is None, reason="no assembler here")
def test_the_probe_is_what_its_source_says(tmp_path):
    source = Path(accelerator.__file__).with_name("long_mode.S")
    run.run(["as", "--64", "-o", tmp_path / "o", source])
    run.run(["ld", "-Ttext", "0x7c00", "--oformat", "binary", "-o", tmp_path / "bin", tmp_path / "o"])
    assert (tmp_path / "bin").read_bytes() == accelerator.BOOT_SECTOR


def test_the_probe_boots_with_tcg():
    assert accelerator.boots("tcg", timeout=10)


@pytest.mark.parametrize(
    ("device", "trial", "boots", "name", "reason"),
    [
        ("absent", "print(0.001)", True, "tcg", "does not exist"),
        ("there", "raise SystemExit('no vcpu')", True, "tcg", "KVM does not run guest code: no vcpu"),
        ("there", "print(0.9)", True, "tcg", "KVM emulates"),
        ("there", "print(0.001)", False, "tcg", "QEMU does not boot a payload with KVM"),
        ("there", "print(0.001)", True, "kvm", "QEMU boots a payload with KVM"),
    ],
)
def test_kvm_is_taken_where_guest_code_is_fast_and_the_payload_boots(
    tmp_path, monkeypatch, device, trial, boots, name, reason
):
    """QEMU really boots the payload; the accelerator's name is swapped, to be the same on any machine."""
    monkeypatch.setattr(accelerator, "KVM_DEVICE", tmp_path / device)
    (tmp_path / "there").touch()
    (tmp_path / "trial.py").write_text(trial)
    monkeypatch.setattr(accelerator.kvm_trial, "__file__", str(tmp_path / "trial.py"))
    program = tmp_path / "qemu"
    swap = f"s/^kvm$/{'tcg' if boots else 'absent'}/"
    program.write_text(f'#!/bin/sh\nset -- $(printf "%s\\n" "$@" | sed {swap})\nexec {accelerator.PROGRAM} "$@"\n')
    program.chmod(0o755)
    monkeypatch.setattr(accelerator, "PROGRAM", str(program))
    monkeypatch.setattr(accelerator.boots, "__defaults__", (30.0,))
    found = accelerator._probe()
    assert found.name == name
    assert reason in found.reason


def test_the_probe_is_cached(tmp_path, monkeypatch):
    cache = tmp_path / "found.json"
    found = accelerator.probe(cache)
    assert found.name in ("kvm", "tcg")
    monkeypatch.setattr(accelerator, "_probe", lambda: pytest.fail("probed again"))
    assert accelerator.probe(cache) == found
    monkeypatch.setattr(accelerator, "boot_id", lambda: "another")
    monkeypatch.setattr(accelerator, "_probe", lambda: accelerator.Accelerator("tcg", "again"))
    assert accelerator.probe(cache).reason == "again"


def test_config_drive_reads_back(tmp_path):
    files = {"openstack/latest/meta_data.json": b'{"uuid": "x"}', "openstack/content/0000": b"data", "ec2/a/b": b""}
    configdrive.make(tmp_path / "drive.iso", files)
    disk = PyCdlib()
    disk.open(str(tmp_path / "drive.iso"))
    for name, content in files.items():
        out = io.BytesIO()
        disk.get_file_from_iso_fp(out, joliet_path=f"/{name}")
        assert out.getvalue() == content
    assert disk.pvd.volume_identifier.decode().strip() == "config-2"
    disk.close()


def test_images_that_refer_to_other_files_are_refused(tmp_path):
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(1 << 20))
    run.run(["qemu-img", "create", "-q", "-f", "qcow2", "-b", secret, "-F", "raw", tmp_path / "evil.qcow2"])
    with pytest.raises(Conflict):
        overlay.make_root(tmp_path / "root.qcow2", tmp_path / "evil.qcow2", "qcow2", 1)
    run.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"data_file={tmp_path}/d", tmp_path / "e2.qcow2", "1M"])
    with pytest.raises(Conflict):
        overlay.virtual_size(tmp_path / "e2.qcow2", "qcow2")
    (tmp_path / "short").write_bytes(b"QFI")
    with pytest.raises(Conflict):
        overlay.virtual_size(tmp_path / "short", "qcow2")


def test_an_image_with_a_header_of_another_format_stays_raw(tmp_path):
    """A raw image may hold anything, also the header of a qcow2 file that names a file of the host."""
    header = struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 0, 0, 16, 1 << 40).ljust(1 << 20, b"\0")
    (tmp_path / "raw").write_bytes(header)
    overlay.make_root(tmp_path / "root.qcow2", tmp_path / "raw", "raw", 1)
    assert overlay.overlay_size(tmp_path / "root.qcow2") == 1 << 30


def test_console_rotation(tmp_path):
    log = tmp_path / "console.log"
    log.write_bytes(b"one\ntwo\n")
    console.rotate(log, limit=4)
    assert log.read_bytes() == b""
    log.write_bytes(b"three\n")
    assert console.tail(log, None) == b"one\ntwo\nthree\n"
    assert console.tail(log, 2) == b"two\nthree\n"
    console.rotate(log, limit=100)
    assert log.read_bytes() == b"three\n"


def test_sockets_take_long_paths(tmp_path):
    folder = tmp_path / ("x" * 100) / ("y" * 100)
    folder.mkdir(parents=True)
    with qmp.listen(folder / "control.sock") as listener:
        assert listener.family == socket.AF_UNIX
        assert (folder / "control.sock").is_socket()


def test_disks_that_are_no_files_are_opened_by_their_own_drivers():
    disk = Disk.of(BlockDisk(path=Path("/dev/vg/v")))
    assert block_arguments("n", disk)["file"] == {"driver": "host_device", "filename": "/dev/vg/v"}
    assert (block_arguments("n", disk)["driver"], credentials_arguments("n", disk)) == ("raw", None)
    served = Disk.of(NetworkDisk(protocol="nbd", servers=("[fd00::1]:10809",), name="v"))
    file = block_arguments("n", served)["file"]
    assert file["server"] == {"type": "inet", "host": "fd00::1", "port": "10809"}
    assert file["reconnect-delay"] > 0, "requests wait for a storage that is away"
    sealed = Disk.of(NetworkDisk(protocol="rbd", servers=("a:1", "b:2"), name="p/v", user="u", secret=Path("/s")))
    assert block_arguments("n", sealed)["file"] == {
        "driver": "rbd", "pool": "p", "image": "v", "user": "u", "key-secret": credentials("n"),
        "server": [{"host": "a", "port": "1"}, {"host": "b", "port": "2"}],
    }  # fmt: skip
    assert credentials_arguments("n", sealed) == {"qom-type": "secret", "id": credentials("n"), "file": "/s"}
