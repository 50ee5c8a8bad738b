# SPDX-License-Identifier: Apache-2.0
"""Swift's own functional suite as a judge of the object store: its source, its environment, and a run of it.

The suite is in Swift's source package alone. It runs as one process, for its tests share two accounts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from conformance.lists import List
from support.real_cloud import RealCloud

HERE = Path(__file__).parent
FOLDER = HERE.parent.parent / ".make" / "swift"
SOURCE = FOLDER / "swift-2.38.3"
PACKAGES = (
    "swift==2.38.3", "python-swiftclient", "python-keystoneclient", "keystoneauth1", "boto==2.49.0", "boto3", "awscrt",
    "pytest", "pytest-timeout", "requests", "requests-mock",
)  # fmt: skip
DOMAIN = "objects.example"
PATIENCE = 120  # seconds for a test

# Users of the store's own log-ins: account, user, key and groups, and what the suite calls them.
USERS = (
    ("admin", "admin", "admin", ".admin .reseller_admin", ""),
    ("test", "tester", "testing", ".admin", "1"),
    ("test2", "tester2", "testing2", ".admin", "2"),
    ("test", "tester3", "testing3", "", "3"),
    ("test5", "tester5", "testing5", "service", "5"),
    ("test", "tester6", "testing6", ".reseller_admin", "6"),
    ("test", "tester2", "testing2", ".admin", ""),
)


def install() -> None:
    """The suite and what it imports, in an environment of its own; once for each choice of packages."""
    installed, wanted = FOLDER / "installed.txt", "".join(f"{package}\n" for package in PACKAGES)
    if installed.exists() and installed.read_text() == wanted:
        return
    subprocess.run([sys.executable, "-m", "venv", FOLDER / "venv"], check=True)
    pip = [_python(), "-m", "pip"]
    subprocess.run([*pip, "install", "--quiet", *PACKAGES], check=True)
    subprocess.run(
        [*pip, "download", "--quiet", "--no-deps", "--no-binary", "swift", PACKAGES[0], "-d", FOLDER], check=True
    )
    with tarfile.open(next(FOLDER.glob("swift-*.tar.gz"))) as archive:
        archive.extractall(FOLDER, filter="data")
    installed.write_text(wanted)


def settings() -> str:
    """What the cloud that is judged has in its settings, in TOML."""
    users = ", ".join(json.dumps(f"user_{account}_{user} = {key} {groups}") for account, user, key, groups, _ in USERS)
    return f"""
[object_store]
part_power = 6

[object_store.temp_auth]
users = [{users}]
prefixes = ["AUTH", "SERVICE"]

[[object_store.temp_auth.required_groups]]
prefix = "SERVICE"
group = "service"

[object_store.api]
allow_account_management = true
allow_open_expired = true

[object_store.api.filters.domain_remap]
storage_domain = "{DOMAIN}"

[object_store.api.filters.s3api]
s3_acl = true
check_bucket_owner = true
cors_preflight_allow_origin = ["*"]
"""


@contextmanager
def ready(cloud: RealCloud, wanted: List, folder: Path) -> Iterator[None]:
    """While it is, `folder/test.conf` says where the store is."""
    _configure(cloud, folder)
    yield


def _configure(cloud: RealCloud, folder: Path) -> None:
    url = cloud.settings.objects_url
    words = {
        "auth_uri": f"{url}/auth/v1.0",
        "s3_storage_url": f"{url}/",
        "s3_region": "us-east-1",
        "service_prefix": "SERVICE",
        "collate": "C",
        "insecure": "no",
        "storage_domain": DOMAIN,
    }
    for account, user, key, _, number in USERS:
        if number:
            suffix = number.removeprefix("1")
            words |= {f"account{suffix}": account, f"username{suffix}": user, f"password{suffix}": key}
        if number in ("1", "2", "3"):
            suffix = number.removeprefix("1")
            name = "test:tester" + suffix
            words |= {f"s3_access_key{suffix}": name, f"s3_secret_key{suffix}": key}
    lines = [
        "[func_test]",
        *(f"{name} = {value}" for name, value in words.items()),
        "[unit_test]",
        "fake_syslog = False",
    ]
    (folder / "test.conf").write_text("\n".join(lines) + "\n")


def judge(folder: Path, tests: Iterable[str], workers: int) -> Iterator[dict[str, Any]]:
    """Run `tests` (ids of pytest), one at a time; outcomes as they come, see `plugins/outcome_lines.py`."""
    asked = folder / "asked.txt"
    asked.write_text("".join(f"{test}\n" for test in tests))
    environment = {
        **os.environ, "SWIFT_TEST_CONFIG_FILE": str(folder / "test.conf"), "PYTHONPATH": str(HERE / "plugins"),
        "PYTHONDONTWRITEBYTECODE": "1",
    }  # fmt: skip
    command = [
        _python(), "-m", "pytest", "-p", "no:cacheprovider", "-p", "outcome_lines", "-q",
        f"--timeout={PATIENCE}", f"@{asked}",
    ]  # fmt: skip
    with (
        (folder / "swift.err").open("w") as errors,
        subprocess.Popen(
            command,
            cwd=SOURCE,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as running,
    ):
        assert running.stdout is not None
        try:
            for line in running.stdout:
                if line.startswith("{"):
                    yield json.loads(line)
        except BaseException:
            running.terminate()
            raise


def _python() -> Path:
    return FOLDER / "venv" / "bin" / "python"
