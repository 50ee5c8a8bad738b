# SPDX-License-Identifier: Apache-2.0
"""What others hear of a volume's life, under Cinder's names."""

from __future__ import annotations

import httpx

from cumulet.kernel.db.outbox import Event
from support.cloud import RunningCloud
from support.people import environment
from support.waiting import until


def test_a_volumes_life_is_told(cloud: RunningCloud) -> None:
    heard: list[Event] = []
    for prefix in ("volume", "snapshot"):
        cloud.control.cloud.outbox.subscribe(prefix, heard.append)
    people = environment(cloud)
    headers = {"x-auth-token": people["MEMBER_TOKEN"], "openstack-api-version": "volume 3.71"}
    with httpx.Client(base_url=f"{cloud.control_url}/block-storage/v3", headers=headers) as client:
        volume = client.post("/volumes", json={"volume": {"size": 1, "name": "told"}}).json()["volume"]["id"]
        until(lambda: client.get(f"/volumes/{volume}").json()["volume"]["status"] != "creating")
        made = client.get(f"/volumes/{volume}").json()["volume"]
        assert made["status"] == "available", client.get(f"/messages?resource_uuid={volume}").text
        body = {"attachment": {"volume_uuid": volume, "connector": {"host": "h"}}}
        claim = client.post("/attachments", json=body).json()["attachment"]["id"]
        client.post(f"/attachments/{claim}/action", json={"os-complete": {}})
        client.delete(f"/attachments/{claim}")
        client.post(f"/volumes/{volume}/action", json={"os-extend": {"new_size": 2}})
        until(lambda: client.get(f"/volumes/{volume}").json()["volume"]["size"] == 2)
        client.delete(f"/volumes/{volume}")
    mine = until(lambda: _complete([one for one in heard if one.payload["volume_id"] == volume]))
    assert [one.topic for one in mine] == [
        "volume.create.start", "volume.create.end", "volume.attach.end", "volume.detach.end", "volume.resize.start",
        "volume.resize.end", "volume.delete.start", "volume.delete.end",
    ]  # fmt: skip
    assert all(one.request_id.startswith("req-") for one in mine)
    assert mine[1].payload["status"] == "available"
    assert mine[1].payload["display_name"] == "told"
    assert mine[2].payload["volume_attachment"][0]["attach_status"] == "attached"


def _complete(events: list[Event]) -> list[Event]:
    return events if events and events[-1].topic == "volume.delete.end" else []
