# SPDX-License-Identifier: Apache-2.0
"""What users type who lend some of their rights: the unmodified `openstack` command."""

from __future__ import annotations

import pytest

from clients.openstack_command import OpenStackCommand, is_gone, names
from support.cloud import RunningCloud

pytestmark = pytest.mark.clients


def test_application_credential_with_access_rules(openstack, cloud: RunningCloud):
    rules = '[{"path": "/v3/auth/tokens", "method": "POST", "service": "identity"}, \
{"path": "/v3/regions", "method": "GET", "service": "identity"}]'
    made = openstack(f"application credential create --secret beep --access-rules '{rules}' cli-narrow")
    kept = openstack("access rule list")
    regions = next(rule["ID"] for rule in kept if rule["Path"] == "/v3/regions")
    assert openstack(f"access rule show {regions}")["Method"] == "GET"
    robot = OpenStackCommand(
        cloud,
        OS_AUTH_TYPE="v3applicationcredential",
        OS_APPLICATION_CREDENTIAL_ID=made["ID"],
        OS_APPLICATION_CREDENTIAL_SECRET="beep",
        **dict.fromkeys(("OS_USERNAME", "OS_PASSWORD", "OS_PROJECT_NAME"), ""),
        **dict.fromkeys(("OS_USER_DOMAIN_ID", "OS_PROJECT_DOMAIN_ID"), ""),
    )
    assert "RegionOne" in names(robot("region list"), "Region")
    with pytest.raises(AssertionError, match="401"):
        robot.text("service list")
    openstack.text("application credential delete cli-narrow")
    for rule in kept:
        openstack.text(f"access rule delete {rule['ID']}")
    assert is_gone(openstack, f"access rule show {regions}")
