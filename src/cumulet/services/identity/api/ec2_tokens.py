# SPDX-License-Identifier: Apache-2.0
"""`/v3/ec2tokens` and `/v3/s3tokens`: a token for whoever signed a request to an EC2 or S3 API.

Only services and administrators may ask: a signed request, which anybody may have seen, would else be as good as a
password.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cumulet.kernel.errors import Invalid
from cumulet.kernel.http import Reply, Request, Route
from cumulet.services.identity.api import tokens
from cumulet.services.identity.logic import ec2_login, ec2_signatures

_NAMES = ("credentials", "credential", "ec2Credentials")


def from_ec2(request: Request) -> Reply:
    text, bearer = ec2_login.authenticate(request.cloud, _signed(request), ec2_signatures.check_ec2)
    return Reply(200, {"token": tokens.view(request, bearer)}, {"X-Subject-Token": text})


def from_s3(request: Request) -> Reply:
    """The token is described, and not handed over."""
    _, bearer = ec2_login.authenticate(request.cloud, _signed(request), ec2_signatures.check_s3)
    return Reply(200, {"token": tokens.view(request, bearer)})


def _signed(request: Request) -> Mapping[str, Any]:
    if not request.body or not isinstance(request.body, dict):
        raise Invalid("request must include a request body")
    found = next((request.body[name] for name in _NAMES if request.body.get(name)), None)
    return found if isinstance(found, dict) else {}


ROUTES = (
    Route("POST", "/ec2tokens", from_ec2, "identity:ec2tokens_validate"),
    Route("POST", "/s3tokens", from_s3, "identity:s3tokens_validate"),
)
