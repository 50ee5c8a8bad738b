# SPDX-License-Identifier: Apache-2.0
"""From a signature made with an access key to a token: what the EC2 and S3 APIs ask for on behalf of their callers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError, NotFound, Unauthorized
from cumulet.services.identity.logic import credentials, ec2_credentials, ec2_signatures, login, projects, users
from cumulet.services.identity.logic.ec2_credentials import AccessKey
from cumulet.services.identity.logic.proofs import Attempt, Proven
from cumulet.services.identity.store import application_credentials
from cumulet.services.identity.types import ApplicationCredential, Bearer

METHOD = "ec2credential"
LIFETIME = timedelta(minutes=15)  # how long a signature that says when it was made is good

Check = Callable[[str, Mapping[str, Any]], None]


def authenticate(cloud: Cloud, words: Mapping[str, Any], check: Check) -> tuple[str, Bearer]:
    """A token for whoever signed the request that `words` describe; `check(secret, words)` judges the signature.

    NotFound where there is no such access key; Unauthorized for a wrong or old signature, and where the key's user has
    no role on its project any more.
    """
    access = words.get("access")
    if not isinstance(access, str):
        raise _refused("EC2 Signature not supplied")
    key = _find(cloud, access)
    if key.secret is None or key.project_id is None:
        raise _refused("Invalid EC2 signature.")
    check(key.secret, words)
    projects.get(cloud.db, key.project_id)
    users.get(cloud.db, key.user_id)
    _check_time(ec2_signatures.timestamp(words))
    return login.issue(cloud, _proven(cloud, key), Attempt(identity={}))


def _find(cloud: Cloud, access: str) -> AccessKey:
    missing = NotFound("EC2 access key not found.", code="Ec2KeyNotFound")
    try:
        found = credentials.get(cloud, cloud.db, ec2_credentials.credential_id(access))
    except NotFound:
        raise missing from None
    if found.type != credentials.EC2:
        raise missing
    return ec2_credentials.opened(found)


def _proven(cloud: Cloud, key: AccessKey) -> Proven:
    """The key's user in the key's project, with what was lent to whoever made the key.

    The words in a key are its owner's own: nobody comes by them to what was lent to another user or in another project.
    """
    credential = _application_credential(cloud, key) if key.app_cred_id is not None else None
    ends = credential.expires_at if credential is not None else None
    return Proven(
        user=users.get(cloud.db, key.user_id),
        methods=(METHOD,),
        expires_at=int(ends.replace(tzinfo=UTC).timestamp()) if ends is not None else None,
        credential=credential,
        project_id=key.project_id,
    )


def _application_credential(cloud: Cloud, key: AccessKey) -> ApplicationCredential:
    found = application_credentials.find(cloud.db, key.app_cred_id or "")
    if found is None or found.user_id != key.user_id:
        raise NotFound(f"Could not find Application Credential: {key.app_cred_id}.")
    if found.project_id != key.project_id:
        raise _refused("EC2 credential project does not match the application credential project.")
    if found.expires_at is not None and found.expires_at <= clock.utcnow():
        raise _refused("The application credential has expired.")
    return found


def _check_time(text: str | None) -> None:
    """A signature that says when it was made is good for LIFETIME; one that does not, for ever."""
    if text is None:
        return
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _refused("Credential timestamp is invalid") from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    if clock.utcnow() - LIFETIME > moment:
        raise _refused("Credential is expired")


def _refused(message: str) -> CumuletError:
    return Unauthorized(message, code="Ec2Refused")
