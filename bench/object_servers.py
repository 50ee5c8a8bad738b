# SPDX-License-Identifier: Apache-2.0
"""Object stores on this machine, each on a folder of its own: Cumulet's process, real Swift, nginx with WebDAV.

What is durable: Cumulet and Swift flush before they acknowledge, nginx does not.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Self

from bench.object_load import Line, Refused
from bench.own_cloud import NotStarted, free_port

HERE = Path(__file__).parent
SWIFT = "swift==2.38.3"
PATIENCE = 60.0  # seconds that a server may take to begin
ACCOUNT = "AUTH_test"
DEVICES = 4
WORKERS = {"proxy": 2, "object": 2, "container": 1, "account": 1}  # processes of Swift's servers


class Server:
    """Processes that serve `port`; a context manager. `label` is what the page calls it."""

    label = ""
    replicas = 1
    durable = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self.port = free_port()
        self.base = ""  # of paths
        self.headers: dict[str, str] = {}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def top(self) -> dict[int, str]:
        """Process ids, with whose trees this server is, by name."""
        return {process.pid: name for name, process in self._processes.items()}

    def __enter__(self) -> Self:
        try:
            self.start()
            self._login()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *ended: object) -> None:
        self.stop()

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        for process in self._processes.values():
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self._processes.clear()

    def make_container(self, name: str) -> None:
        """Raises Refused."""
        with closing(Line(self.port)) as line:
            answer = line.ask("PUT", f"{self.base}/{name}", self.headers)
            if answer.status not in (201, 202, 204):
                raise Refused(f"{self.label}: PUT of a container: {answer.status}")

    def fill(self, container: str, names: Sequence[str]) -> bool:
        """Have the container, which is there, list these; False where a store has no listings."""
        return False

    def flush(self) -> None:
        """What was acknowledged; nothing for a store that is durable."""

    def _spawn(self, name: str, argv: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> None:
        with (self.folder / f"{name}.log").open("ab") as words:
            self._processes[name] = subprocess.Popen(
                [str(each) for each in argv],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def _wait(self, path: str, port: int = 0) -> None:
        """Until the path is served; raises NotStarted."""
        end = time.monotonic() + PATIENCE
        while True:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    words = (self.folder / f"{name}.log").read_text()[-2000:]
                    raise NotStarted(f"{self.label}: {name} ended: {words}")
            try:
                with closing(Line(port or self.port)) as line:
                    if line.ask("GET", path, {}).status < 500:
                        return
            except OSError:
                if time.monotonic() > end:
                    raise NotStarted(f"{self.label} does not answer") from None
            time.sleep(0.1)

    def _login(self) -> None:
        """By TempAuth, for which all of them have the same user."""
        with closing(Line(self.port)) as line:
            answer = line.ask("GET", "/auth/v1.0", {"X-Auth-User": "test:tester", "X-Auth-Key": "testing"})
        if answer.status != 200:
            raise NotStarted(f"{self.label}: log-in: {answer.status}")
        self.base = f"/v1/{ACCOUNT}"
        self.headers = {"X-Auth-Token": answer.headers["x-auth-token"]}


class Cumulet(Server):
    """`cumulet objects` by itself: durable, on folders of one disk."""

    def __init__(self, folder: Path, replicas: int) -> None:
        super().__init__(folder)
        self.label, self.replicas = "Cumulet", replicas
        devices = [folder / f"d{number}" for number in range(DEVICES)]
        for device in devices:
            device.mkdir()
        lines = [
            "[objects]",
            f"port = {self.port}",
            "[object_store]",
            f"replicas = {replicas}",
            "[object_store.temp_auth]",
            'users = ["user_test_tester = testing .admin"]',
            *(f'[[object_store.devices]]\nname = "{each.name}"\nfolder = "{each}"' for each in devices),
        ]
        (folder / "cumulet.toml").write_text("\n".join(lines) + "\n")

    def start(self) -> None:
        environment = {name: text for name, text in os.environ.items() if not name.startswith("CUMULET_")}
        self._spawn("objects", [sys.executable, "-m", "cumulet.cli", "--state", self.folder, "objects"], environment)
        self._wait("/healthz")

    def fill(self, container: str, names: Sequence[str]) -> bool:
        self.stop()
        asyncio.run(_fill(self.folder, container, names))
        self.start()
        self._login()
        return True


async def _fill(state: Path, container: str, names: Sequence[str]) -> None:
    from cumulet.services.object_store.logic.standing import Standing
    from cumulet.services.object_store.types import stamps
    from cumulet.services.object_store.types.indexes import Key, ObjectRow
    from cumulet.settings import load

    settings = load(overrides={"state": str(state)})
    standing = await Standing.open(settings.objects_folder, settings.object_store)
    try:
        key, etag = Key(ACCOUNT, container), "d41d8cd98f00b204e9800998ecf8427e"
        for start in range(0, len(names), 5000):
            rows = [
                ObjectRow(name, stamps.now(), 1024, "application/octet-stream", etag)
                for name in names[start : start + 5000]
            ]
            await standing.engine.indexes.tell_container(key, rows)
    finally:
        await standing.close()


class Swift(Server):
    """Real Swift out of a virtual environment: proxy, object, container and account servers, and memcached."""

    def __init__(self, folder: Path, replicas: int, venv: Path) -> None:
        super().__init__(folder)
        self.label, self.replicas, self._bin = "Swift", replicas, venv / "bin"
        self._ports = {
            "proxy": self.port,
            **{kind: free_port() for kind in ("object", "container", "account", "memory")},
        }
        self._conf, self._devices = folder / "etc", folder / "devices"

    def start(self) -> None:
        memcached = shutil.which("memcached")
        if memcached is None:
            raise NotStarted("Swift needs memcached: apt-get install memcached")
        if not self._conf.exists():
            self._prepare()
        words = ["-u", "nobody", "-l", "127.0.0.1", "-p", str(self._ports["memory"]), "-m", "256"]
        self._spawn("memcached", [memcached, *words])
        for kind in ("account", "container", "object", "proxy"):
            argv = [self._bin / "python", HERE / "swift_server.py", self._bin / f"swift-{kind}-server"]
            self._spawn(kind, [*argv, self._conf / f"{kind}.conf"], {"SWIFT_CONF_DIR": str(self._conf)})
        for kind in ("account", "container", "object", "proxy"):
            self._wait("/healthcheck", self._ports[kind])

    def fill(self, container: str, names: Sequence[str]) -> bool:
        file = self.folder / "names"
        file.write_text("\n".join(names))
        argv = [self._bin / "python", HERE / "swift_rows.py", self._conf, self._devices, ACCOUNT, container, file]
        subprocess.run([str(each) for each in argv], check=True, env={**os.environ, "SWIFT_CONF_DIR": str(self._conf)})
        return True

    def _prepare(self) -> None:
        self._conf.mkdir()
        for number in range(DEVICES):
            (self._devices / f"d{number}").mkdir(parents=True)
        (self._conf / "swift.conf").write_text(
            "[swift-hash]\nswift_hash_path_prefix = bench\nswift_hash_path_suffix = bench\n"
            "[storage-policy:0]\nname = gold\ndefault = yes\n"
        )
        for kind in ("account", "container", "object"):
            self._make_ring(kind)
            self._write(kind, [kind], f"devices = {self._devices}\nmount_check = false")
        before = "catch_errors gatekeeper healthcheck proxy-logging cache listing_formats container_sync bulk tempurl"
        behind = "copy container-quotas account-quotas slo dlo versioned_writes symlink proxy-logging"
        filters = [*before.split(), "ratelimit", "tempauth", *behind.split()]
        self._write("proxy", filters, "")

    def _make_ring(self, kind: str) -> None:
        make = [str(self._bin / "swift-ring-builder"), str(self._conf / f"{kind}.builder")]
        steps = [["create", "10", str(self.replicas), "0"]]
        steps += [["add", f"r1z{n + 1}-127.0.0.1:{self._ports[kind]}/d{n}", "1"] for n in range(DEVICES)]
        for step in [*steps, ["rebalance"]]:
            done = subprocess.run([*make, *step], capture_output=True, text=True, check=False)
            if done.returncode > 1:
                raise NotStarted(f"swift-ring-builder {step}: {done.stdout}{done.stderr}")

    def _write(self, kind: str, filters: Sequence[str], more: str) -> None:
        names = [*filters, "proxy-server"] if kind == "proxy" else ["healthcheck", f"{kind}-server"]
        text = [
            "[DEFAULT]", "bind_ip = 127.0.0.1", f"bind_port = {self._ports[kind]}", f"workers = {WORKERS[kind]}",
            "user = root" if os.geteuid() == 0 else "", f"swift_dir = {self._conf}", more,
            "[pipeline:main]", f"pipeline = {' '.join(names)}",
            f"[app:{kind}-server]", f"use = egg:swift#{kind}",
            "account_autocreate = true" if kind == "proxy" else "",
        ]  # fmt: skip
        for name in dict.fromkeys(names[:-1]):
            text += [f"[filter:{name}]", f"use = egg:swift#{_EGGS.get(name, name.replace('-', '_'))}"]
            text += _OPTIONS.get(name, [])
            if name == "cache":
                text.append(f"memcache_servers = 127.0.0.1:{self._ports['memory']}")
        (self._conf / f"{kind}.conf").write_text("\n".join(text) + "\n")


_EGGS = {"cache": "memcache"}
_OPTIONS = {
    "tempauth": ["user_test_tester = testing .admin", "storage_url_scheme = http"],
    "versioned_writes": ["allow_versioned_writes = true", "allow_object_versioning = true"],
}


class Nginx(Server):
    """WebDAV on the same disk: no log-in, no sums, no flush, one copy."""

    CONF = (
        "daemon off; worker_processes 2; pid nginx.pid; error_log error.log warn; events {{ worker_connections 1024; }}"
        " http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; client_max_body_size 0;"
        " client_body_temp_path {folder}/temp; client_body_buffer_size 128k;"
        " server {{ listen 127.0.0.1:{port}; root {folder}/data;"
        " location / {{ dav_methods PUT DELETE MKCOL; create_full_put_path on; }} }} }}\n"
    )

    durable = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.label = "nginx"
        self.data = folder / "data"
        for each in (self.data, folder / "temp"):
            each.mkdir()
        (folder / "nginx.conf").write_text(("user root; " if os.geteuid() == 0 else "") + self.CONF.format(
            folder=folder, port=self.port
        ))  # fmt: skip

    def start(self) -> None:
        nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
        if nginx is None:
            raise NotStarted("there is no nginx: apt-get install nginx-light")
        self._spawn("nginx", [nginx, "-p", self.folder, "-c", self.folder / "nginx.conf"])
        self._wait("/")

    def make_container(self, name: str) -> None:
        (self.data / name).mkdir()

    def flush(self) -> None:
        for file in self.data.rglob("stream"):
            with file.open("rb") as opened:
                os.fsync(opened.fileno())

    def _login(self) -> None:
        """Whoever comes is let in."""


def swift_in(venv: Path) -> Path:
    """The environment, with Swift installed by pip where it is not yet."""
    if not (venv / "bin" / "swift-proxy-server").exists():
        subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
        subprocess.run([str(venv / "bin" / "pip"), "install", "-q", SWIFT], check=True)
    return venv
