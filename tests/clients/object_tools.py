# SPDX-License-Identifier: Apache-2.0
"""Programs that keep files in an object store, run as processes by somebody with a project and an access key."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from support.cloud import RunningCloud
from support.people import environment

PATIENCE = 60  # seconds that one command may take
REGION = "us-east-1"
LARGE = 6_000_001  # bytes: more than one part of the smallest size that S3 allows


class Owner:
    """A member of a project of its own, with a password for Swift and an access key for S3."""

    def __init__(self, cloud: RunningCloud) -> None:
        people = environment(cloud, objects=True)
        self.url, self.auth_url = people["OBJECTS_URL"], f"{cloud.control_url}/identity/v3"
        self.user, self.password = f"member-{people['SUFFIX']}", people["USER_PASSWORD"]
        self.project = f"project-{people['SUFFIX']}"
        self.token = people["MEMBER_TOKEN"]
        self.account = f"{self.url}/v1/AUTH_{people['PROJECT_ID']}"
        self.suffix = people["SUFFIX"]
        answer = httpx.post(
            f"{self.auth_url}/users/{people['USER_ID']}/credentials/OS-EC2",
            headers={"X-Auth-Token": self.token},
            json={"tenant_id": people["PROJECT_ID"]},
        )
        assert answer.status_code == 201, answer.text
        key = answer.json()["credential"]
        self.access, self.secret = key["access"], key["secret"]

    @property
    def address(self) -> str:
        """Host and port of the store."""
        return urlsplit(self.url).netloc

    def make(self, container: str) -> None:
        """Make a container."""
        answer = httpx.put(f"{self.account}/{container}", headers={"X-Auth-Token": self.token})
        assert answer.status_code in (201, 202), answer.text

    def head(self, path: str) -> httpx.Response:
        """What Swift's API tells of a container or an object."""
        return httpx.head(f"{self.account}/{path}", headers={"X-Auth-Token": self.token})

    def listed(self, container: str) -> list[str]:
        """The names that Swift's API lists."""
        answer = httpx.get(f"{self.account}/{container}", headers={"X-Auth-Token": self.token})
        assert answer.status_code in (200, 204), answer.text
        return answer.text.splitlines()


class Tool:
    """A program with the variables that it reads, which works in `folder` and has its home there."""

    def __init__(self, words: list[str], folder: Path, variables: Mapping[str, str]) -> None:
        self.words, self.folder = words, folder
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C.UTF-8", **variables}

    def __call__(self, *words: str, code: int = 0, given: bytes | None = None) -> str:
        """What it printed, on both; `given` is what it reads."""
        done = subprocess.run(
            [*self.words, *words], cwd=self.folder, env=self._environment, input=given or b"",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE, check=False,
        )  # fmt: skip
        said = done.stdout.decode(errors="replace")
        assert done.returncode == code, f"{' '.join([*self.words, *words])}: {done.returncode}\n{said}"
        return said


def plant(folder: Path, seed: int = 1, large: int = 0) -> dict[str, bytes]:
    """Make a tree of files with the names and sizes that make trouble, and one of `large` bytes; their contents."""
    dice = random.Random(seed)
    found = {
        "empty": b"",
        "deep/er/still/leaf": dice.randbytes(1),
        "with words and ümläut": dice.randbytes(3000),
        "per%20cent+plus&and=?": dice.randbytes(70_000),
        "deep/many lines.txt": b"line\n" * 500,
    }
    if large:
        found["large"] = dice.randbytes(large)
    for name, content in found.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return found


def grown(folder: Path) -> dict[str, bytes]:
    """The files of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
