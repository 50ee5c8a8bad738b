# SPDX-License-Identifier: Apache-2.0
"""What lists can be filtered by."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from support.cloud import RunningCloud
from support.people import environment


def test_the_settings_say_what_others_than_administrators_may_ask(
    cloud: RunningCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = cloud.control.cloud
    storage = msgspec.structs.replace(control.settings.block_storage, resource_filters={"volume": ("name~", "host")})
    monkeypatch.setattr(control, "settings", msgspec.structs.replace(control.settings, block_storage=storage))
    people = environment(cloud)
    headers = {"x-auth-token": people["MEMBER_TOKEN"], "openstack-api-version": "volume 3.71"}
    admin = {**headers, "x-auth-token": people["ADMIN_TOKEN"]}
    with httpx.Client(base_url=f"{cloud.control_url}/block-storage/v3", headers=headers) as client:
        said = client.get("/resource_filters?resource=volume").json()
        assert said == {"resource_filters": [{"resource": "volume", "filters": ["name~", "host"]}]}
        for query in ("name=a", "name~=a", "host=nowhere"):
            assert client.get(f"/volumes?{query}").status_code == 200, query
        for query in ("status=error", "host~=no", "n%C3%A9=a"):
            assert client.get(f"/volumes?{query}").status_code == 400, query
        before = {**headers, "openstack-api-version": "volume 3.33"}
        assert client.get("/volumes?name~=a", headers=before).status_code == 400
        assert client.get("/snapshots?name=a").status_code == 400
        assert client.get("/volumes?status=error", headers=admin).status_code == 200
        assert client.get("/volumes?n%C3%A9=a", headers=admin).status_code == 400
