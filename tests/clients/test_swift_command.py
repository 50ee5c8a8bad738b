# SPDX-License-Identifier: Apache-2.0
"""The unmodified `swift` command, by identity and by a log-in of the store's own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.cloud import RunningCloud

pytestmark = pytest.mark.clients

Swift = Callable[..., str]


@pytest.fixture(scope="module")
def own_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """A cloud with users of its settings."""
    users = "user_test_tester = testing .admin, user_test_reader = reading"
    folder = tmp_path_factory.mktemp("swift")
    made = RunningCloud(folder, ("identity", "object_store"), settings={"object_store.temp_auth.users": users})
    yield made
    made.close()


@pytest.fixture
def swift(own_cloud: RunningCloud, tmp_path: Path) -> Swift:
    """Runs `swift WORDS` in `tmp_path`, as the owner of an account by identity or `by_itself`; what it printed."""
    url = own_cloud.objects_url()
    identity = {
        "OS_AUTH_URL": f"{own_cloud.control_url}/identity/v3",
        "OS_USERNAME": "admin",
        "OS_PASSWORD": own_cloud.admin_password,
        "OS_PROJECT_NAME": "admin",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "ST_AUTH_VERSION": "3",
    }
    itself = {"ST_AUTH": f"{url}/auth/v1.0", "ST_USER": "test:tester", "ST_KEY": "testing"}
    clean = {name: text for name, text in os.environ.items() if not name.startswith(("OS_", "ST_"))}

    def run(*words: str, by_itself: bool = False, code: int = 0) -> str:
        argv = [str(Path(sys.executable).with_name("swift")), *words]
        environment = {**clean, **(itself if by_itself else identity)}
        done = subprocess.run(argv, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_a_folder_goes_there_and_comes_back(swift: Swift, tmp_path: Path) -> None:
    large = os.urandom(300_000)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "large").write_bytes(large)
    (tmp_path / "in" / "small words").write_text("so few")
    assert "in/large" in swift("upload", "box", "in", "-H", "X-Object-Meta-Colour: red")
    assert set(swift("list", "box").splitlines()) == {"in/large", "in/small words"}
    said = swift("stat", "box", "in/large")
    assert "Content Length: 300000" in said
    assert "Meta Colour: red" in said
    swift("download", "box", "-D", "out")
    assert (tmp_path / "out" / "in" / "large").read_bytes() == large
    assert (tmp_path / "out" / "in" / "small words").read_text() == "so few"
    swift("delete", "box")
    assert "Containers: 0" in swift("stat")


def test_a_log_in_of_its_own(swift: Swift, own_cloud: RunningCloud) -> None:
    swift("post", "-r", "test:reader", "box", by_itself=True)
    assert "Read ACL: test:reader" in swift("stat", "box", by_itself=True)
    auth = f"{own_cloud.objects_url()}/auth/v1.0"
    assert "403" in swift("-A", auth, "-U", "test:reader", "-K", "reading", "stat", by_itself=True, code=1)
    assert swift("-A", auth, "-U", "test:reader", "-K", "reading", "list", "box", by_itself=True) == ""
    assert "401" in swift("-A", auth, "-U", "test:tester", "-K", "wrong", "stat", by_itself=True, code=1)
