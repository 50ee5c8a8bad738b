# SPDX-License-Identifier: Apache-2.0
"""Paths that end in a slash, as OpenStack's services take them: Routes and Placement do not, Keystone and Pecan do."""

from __future__ import annotations

import httpx
import pytest

from support.people import environment


@pytest.fixture(scope="module")
def variables(cloud):
    return environment(cloud)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/compute/v2.1/flavors/", 404),
        ("/compute/v2.1/", 200),
        ("/compute/", 200),
        ("/block-storage/v3/{PROJECT_ID}/volumes/", 404),
        ("/block-storage/v3/", 200),
        ("/placement/resource_providers/", 404),
        ("/placement/", 200),
        ("/identity/v3/regions/", 200),
        ("/identity/v3/", 200),
        ("/network/v2.0/networks/", 200),
        ("/network/v2.0/", 200),
    ],
)
def test_the_control_planes_services(cloud, variables, path, status):
    headers = {"X-Auth-Token": variables["ADMIN_TOKEN"]}
    assert httpx.get(cloud.control_url + path.format(**variables), headers=headers).status_code == status


@pytest.mark.parametrize(("path", "status"), [("/image/v2/images/", 404), ("/image/", 300), ("/image/versions/", 200)])
def test_the_image_service(cloud, variables, path, status):
    headers = {"X-Auth-Token": variables["ADMIN_TOKEN"]}
    assert httpx.get(cloud.data_url + path, headers=headers).status_code == status
