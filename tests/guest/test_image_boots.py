# SPDX-License-Identifier: Apache-2.0
"""The guest image in a real virtual machine: login prompt, SSH by a key from the config drive, the tools, power off."""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cumulet.guest.build import build
from cumulet.services.compute.drivers.qemu import configdrive

pytestmark = [
    pytest.mark.guest,
    pytest.mark.timeout(300),
    pytest.mark.skipif(shutil.which("qemu-system-x86_64") is None, reason="QEMU is not installed"),
]

UUID = "5f6b3a0e-52a5-4a59-bd8f-0d8a3f0f6b1a"
USER_DATA = b"#!/bin/sh\necho from user data > /run/witness\n"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    cache = Path.home() / ".cache" / "cumulet" / "guest"
    return build(folder / "guest.qcow2", cache, print)


def config_drive(path: Path, key: str) -> None:
    """A config drive as compute writes it."""
    meta_data = {
        "uuid": UUID,
        "hostname": "little-one.novalocal",
        "name": "little-one",
        "random_seed": "c2VlZA==",
        "public_keys": {'a "quoted" name': key + "\n", "second": "ssh-rsa AAAA/x== two@there\n"},
        "keys": [{"name": "mine", "type": "ssh", "data": key}],
        "devices": [],
        "files": [{"path": "/srv/a b/motd", "content_path": "/content/0000"}],
    }
    files = {
        "latest/meta_data.json": json.dumps(meta_data).encode(),
        "latest/user_data": USER_DATA,
        "content/0000": b"a file",
    }
    configdrive.make(path, {f"openstack/{name}": content for name, content in files.items()})


class Machine:
    """A QEMU process with a forwarded SSH port on loopback and a QMP socket."""

    def __init__(self, folder: Path, image: Path, *more: str, drive: bool = True, net: str = "restrict=on") -> None:
        self.folder = folder
        self.console = folder / "console"
        self.key = folder / "key"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self.key)], check=True)
        self.public_key = self.key.with_suffix(".pub").read_text().strip()
        if drive:
            config_drive(folder / "drive.iso", self.public_key)
            more = ("-drive", f"file={folder / 'drive.iso'},if=virtio,format=raw,readonly=on", *more)
        disk = folder / "disk.qcow2"
        subprocess.run(
            ["qemu-img", "create", "-q", "-f", "qcow2", "-b", str(image), "-F", "qcow2", str(disk), "1G"], check=True
        )
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.qmp_path = folder / "qmp"
        self.process = subprocess.Popen(
            [
                *("qemu-system-x86_64", "-M", "pc", "-accel", "tcg,tb-size=128", "-m", "256", "-smp", "1"),
                *("-display", "none", "-nodefaults", "-no-user-config", "-serial", f"file:{self.console}"),
                *("-qmp", f"unix:{self.qmp_path},server=on,wait=off"),
                *("-drive", f"file={disk},if=virtio,format=qcow2"),
                *("-netdev", f"user,id=n,{net},hostfwd=tcp:127.0.0.1:{self.port}-:22"),
                *("-device", "virtio-net-pci,netdev=n", "-device", "virtio-rng-pci", "-device", "virtio-serial-pci"),
                *("-chardev", f"socket,id=agent,path={folder / 'agent'},server=on,wait=off"),
                *("-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"),
                *more,
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=(folder / "stderr").open("wb"),
        )

    def text(self) -> str:
        return self.console.read_text(errors="replace") if self.console.exists() else ""

    def wait_for(self, words: str, seconds: float = 120) -> None:
        end = time.monotonic() + seconds
        while words not in self.text():
            assert self.process.poll() is None, (self.folder / "stderr").read_text()
            assert time.monotonic() < end, f"no {words!r} on the console: {self.text()[-2000:]}"
            time.sleep(0.2)

    def ssh(self, command: str, seconds: float = 90) -> str:
        options = ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR"]
        options += ["-o", "BatchMode=yes", "-o", "ConnectTimeout=20", "-i", str(self.key), "-p", str(self.port)]
        done = subprocess.run(
            ["ssh", *options, "cirros@127.0.0.1", command], capture_output=True, text=True, timeout=seconds, check=False
        )
        assert done.returncode == 0, f"{command}: {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout.strip()

    def agent(self, command: str, **arguments: object) -> object:
        """What QEMU's guest agent answers."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(30)
            link.connect(str(self.folder / "agent"))
            stream = link.makefile("rw")
            stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
            stream.flush()
            return json.loads(stream.readline())["return"]

    def qmp(self, command: str, **arguments: object) -> None:
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(self.qmp_path))
            stream = link.makefile("rw")
            stream.readline()
            for name, words in (("qmp_capabilities", {}), (command, arguments)):
                stream.write(json.dumps({"execute": name, "arguments": words}) + "\n")
                stream.flush()
                answer = json.loads(stream.readline())
                while "event" in answer:
                    answer = json.loads(stream.readline())
                assert "return" in answer, answer

    def close(self) -> None:
        self.process.kill()
        self.process.wait(10)


@pytest.fixture(scope="module")
def machine(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    made = Machine(tmp_path_factory.mktemp("machine"), image)
    try:
        made.wait_for("little-one login:")
        made.wait_for("ready, up")
        yield made
    finally:
        made.close()


def test_the_name_and_the_key_come_from_the_config_drive(machine: Machine) -> None:
    assert machine.ssh("hostname; whoami; sudo -n whoami; cat /run/witness").split("\n") == [
        *("little-one", "cirros", "root", "from user data"),
    ]
    assert machine.ssh("cat .ssh/authorized_keys").splitlines()[1] == "ssh-rsa AAAA/x== two@there"


def test_files_come_from_the_config_drive(machine: Machine) -> None:
    assert machine.ssh("cat '/srv/a b/motd'") == "a file"


def test_the_root_fills_the_disk(machine: Machine) -> None:
    assert int(machine.ssh("df -m / | tail -1 | awk '{print $2}'")) > 900


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (
            "set -eu -o pipefail; PATH=$PATH:/sbin; ip -o addr show dev eth0 | awk '$3 == \"inet\" {print $4}'",
            "10.0.2.15/24",
        ),
        ("cat /sys/class/net/eth0/operstate", "up"),
        ("ping -c1 -w5 127.0.0.1 >/dev/null && echo yes", "yes"),
        ("sudo kill -s USR1 $(cat /var/run/udhcpc.eth0.pid) && echo renewed", "renewed"),
        ("lsblk -lb --nodeps -o NAME,TYPE | grep -c disk", "2"),
        ("sudo blkid -t LABEL=config-2 -o device", "/dev/vdb"),
        ("grep -c ^processor /proc/cpuinfo", "1"),
        ("dd if=/dev/zero of=/tmp/d bs=1M count=8 2>/dev/null; sudo mkfs -t ext4 -q -F /tmp/d && echo made", "made"),
        ("curl --version | cut -d' ' -f1 | head -1", "curl"),
        (
            "sudo nc -p 80 -lk -e echo foolish >&- 2>&- & sleep 1; for i in 1 2; do echo bar | nc -w 1 127.1 80; done",
            "foolish\nfoolish",
        ),
        (
            "sudo nc -u -p 8 -lk -e echo foolish >&- 2>&- & sleep 1; for i in 1 2; do echo | nc -w 1 -u 127.1 8; done",
            "foolish\nfoolish",
        ),
        ("sudo nc -p 81 -lk >&- 2>&- </dev/zero & sleep 1; pidof nc >/dev/null && echo called so", "called so"),
        (
            "sudo nc -p 82 -lk -e echo x >&- 2>&- & sleep 1; pidof nc >/dev/null && echo | nc -w 1 127.1 82 && echo so",
            "x\nso",
        ),
        ("echo cirros:other | sudo chpasswd && sudo grep -c '^cirros:.6.' /etc/shadow", "1"),
        ("stat -c %U:%G /home/cirros /etc | tr '\\n' ' '", "cirros:cirros root:root"),
    ],
)
def test_the_commands_that_users_send(machine: Machine, command: str, answer: str) -> None:
    assert machine.ssh(command) == answer


def test_a_lease_brings_routes_resolver_and_mtu(machine: Machine) -> None:
    lease = "interface=eth0 ip=10.0.2.15 mask=24 router=10.0.2.9 dns=10.0.2.3 domain=here mtu=1442"
    routes = "0.0.0.0/0 10.0.2.2 169.254.169.254/32 10.0.2.4"
    machine.ssh(f"sudo env {lease} staticroutes='{routes}' /usr/share/udhcpc/default.script renew")
    assert machine.ssh("ip route | cut -d' ' -f1-5; cat /etc/resolv.conf /sys/class/net/eth0/mtu").splitlines() == [
        "default via 10.0.2.2 dev eth0",
        "10.0.2.0/24 dev eth0 scope link",
        "169.254.169.254 via 10.0.2.4 dev eth0",
        "search here",
        "nameserver 10.0.2.3",
        "1442",
    ]


def test_the_guest_agent_sets_a_password(machine: Machine) -> None:
    before = machine.ssh("sudo grep ^cirros: /etc/shadow")
    password = base64.b64encode(b"another one").decode()
    assert machine.agent("guest-ping") == {}
    assert machine.agent("guest-set-user-password", username="cirros", password=password, crypted=False) == {}
    assert machine.ssh("sudo grep ^cirros: /etc/shadow") != before
    assert machine.agent("guest-fsfreeze-status") == "thawed"


def test_disks_and_network_cards_are_hot_plugged(machine: Machine) -> None:
    disk = machine.folder / "extra"
    disk.write_bytes(bytes(64 << 20))
    machine.qmp("blockdev-add", **{"driver": "file", "node-name": "extra", "filename": str(disk)})
    machine.qmp("device_add", driver="virtio-blk-pci", id="extra", drive="extra", serial="0123-456")
    machine.qmp("device_add", driver="virtio-net-pci", id="card", mac="52:54:00:00:00:77")
    machine.ssh("for i in 1 2 3 4 5; do ip link | grep -q :00:00:00:77 && test -b /dev/vdc && exit; sleep 1; done")
    assert machine.ssh("cat /sys/block/vdc/serial") == "0123-456"
    for make in ("ext4 -q", "vfat"):
        machine.ssh(f"sudo mkfs -t {make} /dev/vdc && sudo mount /dev/vdc /mnt && echo kept | sudo tee /mnt/file")
        machine.ssh("sudo umount /mnt; sync")
        assert machine.ssh("sudo mount /dev/vdc /mnt && cat /mnt/file && sudo umount /mnt") == "kept"


def test_the_power_button_ends_the_machine(machine: Machine) -> None:
    machine.qmp("system_powerdown")
    assert machine.process.wait(60) == 0


# One request of a guest on stdin, one answer of an EC2 metadata service on stdout.
METADATA = """
import sys
path = sys.stdin.readline().split()[1]
while sys.stdin.readline().strip():
    pass
pages = {pages!r}
page = pages.get(path.replace("/2009-04-04", "", 1))
head = "HTTP/1.0 404 Not Found" if page is None else "HTTP/1.0 200 OK"
sys.stdout.write(f"{{head}}\\r\\nContent-Length: {{len(page or '')}}\\r\\nConnection: close\\r\\n\\r\\n{{page or ''}}")
"""


def test_the_name_and_the_key_come_by_http_as_ec2_has_it(image: Path, tmp_path: Path) -> None:
    service = tmp_path / "metadata.py"
    net = "restrict=on,net=169.254.169.0/24,dhcpstart=169.254.169.15"
    net += f",guestfwd=tcp:169.254.169.254:80-cmd:{sys.executable} {service}"
    service.write_text("")
    made = Machine(tmp_path, image, drive=False, net=net)
    pages = {
        "/meta-data/instance-id": "i-00000001",
        "/meta-data/hostname": "by-http.novalocal",
        "/meta-data/public-keys/": "0=mine",
        "/meta-data/public-keys/0/openssh-key": made.public_key,
        "/user-data": USER_DATA.decode(),
    }
    service.write_text(METADATA.format(pages=pages))
    try:
        made.wait_for("by-http login:")
        made.wait_for("ready, up")
        assert made.ssh("hostname; cat /run/witness").split("\n") == ["by-http", "from user data"]
    finally:
        made.close()


def test_firmware_of_the_uefi_kind_boots_it(image: Path, tmp_path: Path) -> None:
    firmware = Path("/usr/share/OVMF/OVMF_CODE_4M.fd")
    if not firmware.exists():
        pytest.skip("OVMF is not installed")
    made = Machine(tmp_path, image, "-drive", f"if=pflash,unit=0,format=raw,readonly=on,file={firmware}")
    try:
        made.wait_for("little-one login:", 180)
    finally:
        made.close()
