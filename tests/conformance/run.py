# SPDX-License-Identifier: Apache-2.0
"""`make conformance`: brings up a cloud of its own, lets Tempest judge it, writes the table.

    run.py [LIST ...] [--keep] [--concurrency N]

A LIST is a file in `lists/` without its ending; each line is a test's id without attributes. What came out is kept in
`results.json` and told in `docs/conformance.md`, with the difference to the run before.
"""

from __future__ import annotations

import argparse
import configparser
import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from conformance import report  # noqa: E402
from support.real_cloud import RealCloud  # noqa: E402

TEMPEST = "tempest==47.0.0"
VENV = ROOT / ".make" / "tempest"
FLAVOR, FLAVOR_ALT = "m1.micro", "m1.tiny"
TIMEOUT = 3 * 3600  # seconds for one list


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lists", nargs="*", default=["server-boots"], help="names of lists (default: server-boots)")
    parser.add_argument("--concurrency", type=int, default=2, help="tests at a time")
    parser.add_argument("--keep", action="store_true", help="leave the cloud and the workspace for a look")
    words = parser.parse_args()
    install()
    folder = Path(tempfile.mkdtemp(prefix="cumulet-conformance-"))
    cloud = RealCloud(folder / "state")
    failed: list[dict[str, Any]] = []
    try:
        cloud.command("up")
        write_configuration(cloud, folder)
        for name in words.lists:
            began = time.time()
            outcomes = judge(folder, name, words.concurrency)
            report.record(name, outcomes, time.time() - began)
            failed += [outcome for outcome in outcomes if outcome["status"] in ("failed", "missing")]
    finally:
        if words.keep:
            print(f"kept: {folder}")
        else:
            cloud.command("down")
    report.write()
    for outcome in failed:
        print(f"FAILED {outcome['id']}\n{outcome['reason']}\n")
    return 1 if failed else 0


def install() -> None:
    """Tempest in an environment of its own."""
    if not (VENV / "bin" / "tempest").exists():
        subprocess.run([sys.executable, "-m", "venv", VENV], check=True)
        subprocess.run([VENV / "bin" / "pip", "install", "--quiet", TEMPEST], check=True)


def write_configuration(cloud: RealCloud, folder: Path) -> None:
    """A Tempest workspace in `folder` whose configuration names what this cloud has."""
    workspace = ["init", "--workspace-path", folder / "workspaces.yaml", folder / "workspace"]
    subprocess.run([VENV / "bin" / "tempest", *workspace], check=True, stdout=subprocess.DEVNULL)
    words = configparser.ConfigParser()
    words.read_dict(options(cloud, folder))
    with (folder / "workspace" / "etc" / "tempest.conf").open("w") as sink:
        words.write(sink)


def options(cloud: RealCloud, folder: Path) -> dict[str, dict[str, Any]]:
    """All options: the features that the cloud claims, and the names and ids of this one."""
    features = tomllib.loads((HERE / "features.toml").read_text())
    with cloud.connect() as api:
        image = api.image.find_image("cumulet", ignore_missing=False)
        guest = folder / "guest.qcow2"
        with guest.open("wb") as sink:
            api.image.download_image(image, output=sink)
        other = api.create_image(
            "cumulet-alt",
            filename=str(guest),
            disk_format="qcow2",
            container_format="bare",
            visibility="public",
            wait=True,
        )
        flavors = [api.compute.find_flavor(name, ignore_missing=False).id for name in (FLAVOR, FLAVOR_ALT)]
        public = api.network.find_network("public", ignore_missing=False).id
        extensions = ",".join(sorted(extension.alias for extension in api.network.extensions()))
        password = api.config.config["auth"]["password"]
    chosen: dict[str, dict[str, Any]] = {
        "DEFAULT": {"log_file": "tempest.log"},
        "oslo_concurrency": {"lock_path": folder / "locks"},
        "auth": {
            "admin_username": "admin",
            "admin_password": password.replace("%", "%%"),
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
        },
        "compute": {
            "image_ref": image.id,
            "image_ref_alt": other.id,
            "flavor_ref": flavors[0],
            "flavor_ref_alt": flavors[1],
            "min_microversion": "2.1",
            "max_microversion": "latest",
            "min_compute_nodes": 1,
            "volume_device_name": "vdb",
        },
        "placement": {"min_microversion": "1.0", "max_microversion": "latest"},
        "network": {"public_network_id": public, "floating_network_name": "public"},
        "network-feature-enabled": {"api_extensions": extensions},
        "volume": {
            "catalog_type": "block-storage",
            "min_microversion": "3.0",
            "max_microversion": "latest",
            "vendor_name": "Cumulet",
            "storage_protocol": "file",
        },
        "validation": {
            "run_validation": True,
            "connect_method": "floating",
            "auth_method": "keypair",
            "ssh_key_type": "ecdsa",
            "image_ssh_user": "cirros",
            "image_ssh_password": "gocubsgo",
            "image_alt_ssh_user": "cirros",
            "image_alt_ssh_password": "gocubsgo",
            "ping_timeout": 180,
            "ssh_timeout": 300,
        },
        "scenario": {"img_file": guest, "img_disk_format": "qcow2", "dhcp_client": "udhcpc"},
    }
    for section, flags in features.items():
        chosen.setdefault(section, {}).update(flags)
    return {section: {name: str(value) for name, value in flags.items()} for section, flags in chosen.items()}


def judge(folder: Path, name: str, concurrency: int) -> list[dict[str, Any]]:
    """Run one list; its outcomes."""
    listed = (HERE / "lists" / f"{name}.txt").read_text().split()
    chosen = folder / f"{name}.txt"
    workspace = folder / "workspace"
    known = run_tempest(workspace, "run", "--list-tests").stdout.decode().split()
    chosen.write_text("\n".join(test for test in known if test.partition("[")[0] in set(listed)) + "\n")
    run_tempest(workspace, "run", "--load-list", chosen, "--concurrency", str(concurrency), show=True)
    stream = subprocess.run(
        [VENV / "bin" / "stestr", "last", "--subunit"], cwd=workspace, capture_output=True, check=False
    )
    script = [VENV / "bin" / "python", HERE / "outcomes.py"]
    parsed = subprocess.run(script, input=stream.stdout, capture_output=True, check=True)
    outcomes: list[dict[str, Any]] = json.loads(parsed.stdout)
    seen = {outcome["id"] for outcome in outcomes}
    missing = [test for test in listed if test not in seen]
    return outcomes + [{"id": test, "status": "missing", "seconds": 0.0, "reason": "not run"} for test in missing]


def run_tempest(workspace: Path, *words: Any, show: bool = False) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "TEMPEST_CONFIG_DIR": str(workspace / "etc")}
    return subprocess.run(
        [VENV / "bin" / "tempest", *words], cwd=workspace, env=environment, stdin=subprocess.DEVNULL,
        stdout=None if show else subprocess.PIPE, timeout=TIMEOUT, check=False,
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
