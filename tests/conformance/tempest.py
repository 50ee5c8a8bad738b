# SPDX-License-Identifier: Apache-2.0
"""Tempest as a judge: its environment, its configuration for one cloud, and a run of it."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from conformance import samples
from conformance.lists import List
from support.real_cloud import RealCloud

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
VENV = ROOT / ".make" / "tempest"
WEB = "web"
OTHER_IMAGES = "image-of-another-process"
PACKAGES = ("tempest==47.0.0", "neutron-tempest-plugin==3.3.0")
FLAVOR, FLAVOR_ALT = "m1.micro", "m1.tiny"
SHARED = "several-servers"  # the type of volumes that several servers may have

# What Tempest is told of the rules of accounts, and what they are called in the settings.
RULES = {
    "user_lockout_failure_attempts": "lockout_failure_attempts",
    "user_lockout_duration": "lockout_duration",
    "user_unique_last_password_count": "unique_last_password_count",
    "user_minimum_password_age": "minimum_password_age",
}

Options = dict[str, dict[str, Any]]
ATTRIBUTES = re.compile(r"\[[^]]*\]")  # of a test, behind its name


def install() -> None:
    """Tempest and its plug-ins in an environment of its own; once for each choice of them."""
    installed, wanted = VENV / "installed.txt", "".join(f"{package}\n" for package in PACKAGES)
    if installed.exists() and installed.read_text() == wanted:
        return
    subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
    subprocess.run([VENV / "bin" / "pip", "install", "--quiet", *PACKAGES], check=True)
    installed.write_text(wanted)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *words: object) -> None:
        """The judge's own words are enough."""


@contextmanager
def web(folder: Path) -> Iterator[str]:
    """A web server on loopback that gives out the files in `folder/web`; its address."""
    (folder / WEB).mkdir(exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder / WEB)))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def ready(cloud: RealCloud, wanted: List, folder: Path) -> Iterator[None]:
    """While it is, Tempest knows the cloud, and a web server what it downloads."""
    with web(folder) as url:
        configure(cloud, wanted, folder, url)
        yield


def configure(cloud: RealCloud, wanted: List, folder: Path, url: str) -> None:
    """A Tempest workspace in `folder` whose configuration names what this cloud has; `url` is the web server's."""
    workspace = ["init", "--workspace-path", folder / "workspaces.yaml", folder / "workspace"]
    subprocess.run([VENV / "bin" / "tempest", *workspace], check=True, stdout=subprocess.DEVNULL)
    words = configparser.ConfigParser(interpolation=None)
    words.read_dict(options(cloud, wanted, folder, url))
    with (folder / "workspace" / "etc" / "tempest.conf").open("w") as sink:
        words.write(sink)


def options(cloud: RealCloud, wanted: List, folder: Path, url: str) -> dict[str, dict[str, str]]:
    """All options: the features that the cloud claims, and the names and ids of this one."""
    chosen = _of_this_cloud(cloud, wanted, folder, url)
    for section, flags in (*tomllib.loads((HERE / "features.toml").read_text()).items(), *wanted.told.items()):
        chosen.setdefault(section, {}).update(flags)
    return {section: {name: str(value) for name, value in flags.items()} for section, flags in chosen.items()}


def judge(folder: Path, tests: Iterable[str], workers: int) -> Iterator[dict[str, Any]]:
    """Run `tests` (ids without attributes) with so many at a time; outcomes as they come (see `outcomes.py`)."""
    workspace = folder / "workspace"
    environment = {**os.environ, "TEMPEST_CONFIG_DIR": str(workspace / "etc")}
    known = subprocess.run(
        [VENV / "bin" / "tempest", "run", "--list-tests"], cwd=workspace, env=environment, capture_output=True,
        stdin=subprocess.DEVNULL, check=True,
    ).stdout.decode().split()  # fmt: skip
    asked, chosen = set(tests), folder / "asked.txt"
    chosen.write_text("".join(f"{test}\n" for test in known if ATTRIBUTES.sub("", test) in asked))
    if not chosen.stat().st_size:
        return
    command = [VENV / "bin" / "tempest", "run", "--subunit", "--load-list", chosen, "--concurrency", str(workers)]
    with (
        (folder / "tempest.err").open("w") as errors,
        subprocess.Popen(
            command, cwd=workspace, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors
        ) as running,
        subprocess.Popen(
            [VENV / "bin" / "python", HERE / "outcomes.py"], stdin=running.stdout, stdout=subprocess.PIPE, text=True
        ) as reading,
    ):
        assert running.stdout is not None
        assert reading.stdout is not None
        running.stdout.close()
        try:
            yield from map(json.loads, reading.stdout)
        except BaseException:
            running.terminate()
            raise


@dataclass(frozen=True)
class _Found:
    """What a cloud has, as Tempest is to call it; `guest` is its image as a file."""

    images: tuple[str, str]
    flavors: tuple[str, str]
    public: str
    extensions: str
    password: str
    guest: Path
    other_images: str


def _find(cloud: RealCloud, folder: Path) -> _Found:
    """Look, and make the second image, which differs from the first in name alone."""
    with cloud.connect() as api:
        image = api.image.find_image("cumulet", ignore_missing=False)
        guest = folder / WEB / "guest.qcow2"
        with guest.open("wb") as sink:
            api.image.download_image(image, output=sink)
        other = api.create_image(
            "cumulet-alt", filename=str(guest), disk_format="qcow2", container_format="bare", visibility="public",
            wait=True,
        )  # fmt: skip
        api.block_storage.create_type(name=SHARED, extra_specs={"multiattach": "<is> True"})
        flavors = [api.compute.find_flavor(name, ignore_missing=False).id for name in (FLAVOR, FLAVOR_ALT)]
        return _Found(
            images=(image.id, other.id),
            flavors=(flavors[0], flavors[1]),
            public=api.network.find_network("public", ignore_missing=False).id,
            extensions=",".join(sorted(extension.alias for extension in api.network.extensions())),
            password=api.config.config["auth"]["password"],
            guest=guest,
            other_images=_other_images(cloud, api),
        )


def _other_images(cloud: RealCloud, api: Any) -> str:
    """The type under which the catalogue has the image API of another data process; empty where there is none."""
    url = getattr(cloud, "other_data_url", "")
    if not url:
        return ""
    service = api.identity.create_service(type=OTHER_IMAGES, name=OTHER_IMAGES)
    for interface in ("public", "internal", "admin"):
        api.identity.create_endpoint(
            service_id=service.id, interface=interface, url=f"{url}/image", region_id=cloud.settings.region
        )
    return OTHER_IMAGES


def _of_this_cloud(cloud: RealCloud, wanted: List, folder: Path, url: str) -> Options:
    found = _find(cloud, folder)
    any_version = {"max_microversion": "latest"}
    rules = cloud.settings.security_compliance
    return {
        "DEFAULT": {"log_file": "tempest.log"},
        "oslo_concurrency": {"lock_path": folder / "locks"},
        "auth": {
            "admin_username": "admin",
            "admin_password": found.password,
            "admin_project_name": "admin",
            "admin_domain_name": "Default",
            "admin_system": "all",
            "use_dynamic_credentials": True,
            "create_isolated_networks": True,
        },
        "identity": {
            "uri_v3": f"{cloud.settings.control_url}/identity/v3",
            "auth_version": "v3",
            "region": "RegionOne",
            **{name: getattr(rules, ours) for name, ours in RULES.items()},
        },
        "compute": {
            "image_ref": found.images[0],
            "image_ref_alt": found.images[1],
            "flavor_ref": found.flavors[0],
            "flavor_ref_alt": found.flavors[1],
            "min_microversion": "2.1",
            "min_compute_nodes": wanted.hosts,
            "volume_device_name": "vdb",
            **any_version,
        },
        "image": {
            **dict.fromkeys(("http_image", "http_qcow2_image"), f"{url}/{found.guest.name}"),
            "alternate_image_endpoint": found.other_images,
            **({"images_manifest_file": samples.write(folder / "samples")} if wanted.samples else {}),
        },
        "placement": {"min_microversion": "1.0", **any_version},
        "network": {"public_network_id": found.public, "floating_network_name": "public"},
        "network-feature-enabled": {"api_extensions": found.extensions},
        "neutron_plugin_options": {
            "agent_availability_zone": "nova",
            "available_type_drivers": "flat,local,vlan,vxlan",
            "dns_domain": cloud.settings.network.dns_domain,
            "firewall_driver": "ovn",  # of the choices the one that can do what ours does: groups without state
            "snat_rules_apply_to_nested_networks": True,
        },
        "volume": {
            "catalog_type": "block-storage",
            "min_microversion": "3.0",
            "vendor_name": "Cumulet",
            "storage_protocol": "file",
            "volume_type_multiattach": SHARED,
            "manage_snapshot_ref": "source-name,snapshot-%s",
            **any_version,
        },
        "validation": _validation(wanted.score == "guest"),
        "scenario": {"img_file": found.guest, "img_disk_format": "qcow2", "dhcp_client": "udhcpc"},
    }


def _validation(guests: bool) -> dict[str, Any]:
    return {
        "run_validation": guests,
        "connect_method": "floating",
        "auth_method": "keypair",
        "ssh_key_type": "ecdsa",
        "image_ssh_user": "cirros",
        "image_ssh_password": "gocubsgo",
        "image_alt_ssh_user": "cirros",
        "image_alt_ssh_password": "gocubsgo",
        "ping_timeout": 180,
        "ssh_timeout": 300,
    }
