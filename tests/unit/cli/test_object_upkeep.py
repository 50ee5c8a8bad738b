# SPDX-License-Identifier: Apache-2.0
"""What the object store's process does beside requests, as its settings say."""

from __future__ import annotations

from pathlib import Path

import httpx

from support.waiting import until
from unit.cli.object_processes import TEMP_AUTH, store

SETTINGS = """
[object_store.api.filters.recon]
[object_store.api.filters.gatekeeper]
shunt_inbound_x_timestamp = false
[object_store.api.filters.container_sync]
interval = 0.1
allowed_sync_hosts = "127.0.0.1"
"""


def test_containers_are_sent_and_monitoring_is_told(tmp_path: Path) -> None:
    (tmp_path / "cumulet.toml").write_text(TEMP_AUTH + SETTINGS)
    with store(tmp_path) as client:
        key = {"x-container-sync-key": "user-key"}
        client.put("/there", headers=key)
        to = {"x-container-sync-to": f"{str(client.base_url).rstrip('/')}/there", **key}
        assert client.put("/here", headers=to).status_code == 201
        client.put("/here/o", content=b"body")
        until(lambda: client.get("/there/o").text == "body")

        base = str(client.base_url.copy_with(raw_path=b"/recon/"))
        assert httpx.get(f"{base}updater/object").json()["object_updater_last"] > 0
        assert httpx.get(f"{base}unmounted").json() == []
        assert httpx.get(f"{base}diskusage").json()[0]["mounted"] is True
