# SPDX-License-Identifier: Apache-2.0
"""Consoles as a person opens them: a real browser, noVNC's and spice-html5's own pages, a server on QEMU.

`make browser` runs it; the browser is Debian's, spoken to by its DevTools protocol.
"""

from __future__ import annotations

import base64
import itertools
import json
import struct
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until

BROWSER = "chromium-headless-shell"
# What of the first canvas of the page is not of one colour.
COLOURS = """(() => {
    const canvas = document.querySelector('canvas');
    if (!canvas || !canvas.width) return 0;
    const data = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
    return new Set(new Uint32Array(data.buffer)).size;
})()"""
# Fills the screen of text with As in yellow on red, and halts for ever.
GUEST = bytes.fromhex("fa31c08ed8b800b88ec0bf0000b9d007b8414ef3abf4ebfd")
# Disks without a partition are no images: one from the second sector to the end of 1 MiB.
PARTITION = struct.pack("<B3sB3sII", 0x80, b"\0\2\0", 0x83, b"\xff\xff\xff", 1, 2047)


class Browser:
    """A headless browser with one page."""

    def __init__(self, folder: Path) -> None:
        words = ["--headless", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0"]
        words += [f"--user-data-dir={folder}", "about:blank"]
        self._log = (folder.parent / "browser.log").open("wb")
        self._process = subprocess.Popen([BROWSER, *words], stdout=self._log, stderr=self._log)
        port = until(lambda: (folder / "DevToolsActivePort").is_file() and self._port(folder))
        listed = httpx.get(f"http://127.0.0.1:{port}/json").json()
        page = next(one["webSocketDebuggerUrl"] for one in listed if one["type"] == "page")
        self._closing = ExitStack()
        self._socket = self._closing.enter_context(connect(page, max_size=1 << 26, proxy=None))
        self._numbers = itertools.count(1)

    def ask(self, method: str, **words: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": words}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == number:
                assert "error" not in answer, answer
                return answer["result"]

    def go(self, url: str) -> None:
        self.ask("Page.navigate", url=url)

    def see(self, words: str) -> Any:
        """What an expression of JavaScript says in the page."""
        return self.ask("Runtime.evaluate", expression=words)["result"].get("value")

    def picture(self, path: Path) -> None:
        path.write_bytes(base64.b64decode(self.ask("Page.captureScreenshot")["data"]))

    def close(self) -> None:
        self._closing.close()
        self._process.kill()
        self._process.wait(10)
        self._log.close()

    def _port(self, folder: Path) -> str:
        return (folder / "DevToolsActivePort").read_text().partition("\n")[0]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    opened = Browser(tmp_path_factory.mktemp("browser") / "profile")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningCloud]:
    """One with real servers, and all else of the fake kind."""
    real = {"compute.driver": "qemu", "compute.accelerator": "tcg", "compute.consoles": "vnc,spice,serial"}
    running = RunningCloud(tmp_path_factory.mktemp("cloud"), settings=real)
    yield running
    running.close()


@pytest.fixture(scope="module")
def console(cloud: RunningCloud) -> Iterator[Any]:
    """`console(protocol, type)` is the URL of a console of a server that runs."""
    words = environment(cloud)
    member = {"x-auth-token": words["MEMBER_TOKEN"], "openstack-api-version": "compute 2.99"}
    admin = {**member, "x-auth-token": words["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/compute/v2.1", headers=member, timeout=60) as http:
        image = {"name": "tiny", "disk_format": "raw", "container_format": "bare"}
        images = f"{cloud.data_url}/image/v2/images"
        image_id = httpx.post(images, json=image, headers=member).json()["id"]
        data = {**member, "content-type": "application/octet-stream"}
        sector = GUEST.ljust(446, b"\0") + PARTITION.ljust(64, b"\0") + b"\x55\xaa"
        sent = httpx.put(f"{images}/{image_id}/file", content=sector.ljust(1 << 20, b"\0"), headers=data)
        assert sent.status_code == 204, sent.text
        flavor = {"flavor": {"name": "tiny", "ram": 64, "vcpus": 1, "disk": 1}}
        kind = http.post("/flavors", json=flavor, headers=admin).json()["flavor"]["id"]
        server = {"name": "tiny", "imageRef": image_id, "flavorRef": kind, "networks": "none"}
        made = http.post("/servers", json={"server": server}).json()["server"]["id"]
        until(lambda: http.get(f"/servers/{made}").json()["server"]["status"] == "ACTIVE")

        def ask(protocol: str, type_: str) -> str:
            body = {"remote_console": {"protocol": protocol, "type": type_}}
            answer = http.post(f"/servers/{made}/remote-consoles", json=body)
            assert answer.status_code == 200, answer.text
            return str(answer.json()["remote_console"]["url"])

        yield ask
        http.delete(f"/servers/{made}")
        until(lambda: http.get(f"/servers/{made}").status_code == 404)


def test_novnc_shows_the_screen(browser: Browser, console: Any, tmp_path: Path) -> None:
    url = console("vnc", "novnc")
    browser.go(url)
    until(lambda: browser.see(COLOURS) > 1)
    assert "Connected" in browser.see("document.getElementById('status').textContent")
    browser.picture(tmp_path / "novnc.png")
    # The token is used up: who reads the address in the history sees nothing.
    browser.go("about:blank")
    browser.go(url)
    until(lambda: "went wrong" in str(browser.see("document.getElementById('status')?.textContent")))


def test_spice_shows_the_screen(browser: Browser, console: Any, tmp_path: Path) -> None:
    browser.go(console("spice", "spice-html5"))
    until(lambda: browser.see(COLOURS) > 1)
    browser.picture(tmp_path / "spice.png")


def test_a_page_of_another_site_opens_nothing(browser: Browser, console: Any) -> None:
    """The page is this cloud's, under another name of the same machine."""
    url = console("serial", "serial")
    browser.go("about:blank")
    browser.see(
        f"window.said = ''; window.socket = new WebSocket('{url}', 'binary');"
        "socket.onopen = () => said = 'open'; socket.onerror = () => said = 'refused'; ''"
    )
    until(lambda: browser.see("said"))
    assert browser.see("said") == "refused"
