# SPDX-License-Identifier: Apache-2.0
"""From a signature made with an access key to a token: what the EC2 and S3 APIs ask for on behalf of their callers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import CumuletError, NotFound
from cumulet.services.identity.logic import (
    access_tokens,
    accounts,
    credentials,
    ec2_credentials,
    ec2_signatures,
    login,
    projects,
    trust_chains,
    users,
)
from cumulet.services.identity.logic.ec2_credentials import AccessKey
from cumulet.services.identity.logic.proofs import Attempt, Proven
from cumulet.services.identity.logic.refusals import not_proven
from cumulet.services.identity.store import application_credentials
from cumulet.services.identity.types import AccessToken, ApplicationCredential, Bearer

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
    key = _usable(cloud, access)
    check(key.secret or "", words)
    _check_owner(cloud, key)
    _check_time(ec2_signatures.timestamp(words))
    return _issue(cloud, key)


def holder(cloud: Cloud, access: str) -> tuple[AccessKey, Bearer]:
    """An access key, whose `secret` is there, and what its requests are worth; errors as those of `authenticate`.

    For a service that judges the signatures itself.
    """
    key = _usable(cloud, access)
    _check_owner(cloud, key)
    return key, _issue(cloud, key)[1]


def _usable(cloud: Cloud, access: str) -> AccessKey:
    key = _find(cloud, access)
    if key.secret is None or key.project_id is None:
        raise _refused("Invalid EC2 signature.")
    return key


def _check_owner(cloud: Cloud, key: AccessKey) -> None:
    projects.get(cloud.db, key.project_id or "")
    if not accounts.is_enabled(cloud, users.get(cloud.db, key.user_id)):
        raise _refused("The user of the access key is disabled.")


def _issue(cloud: Cloud, key: AccessKey) -> tuple[str, Bearer]:
    if key.trust_id is not None:
        return _by_trust(cloud, key, key.trust_id)
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
    access_token = _access_token(cloud, key) if credential is None and key.access_token_id is not None else None
    lent = credential or access_token
    ends = lent.expires_at if lent is not None else None
    return Proven(
        user=users.get(cloud.db, key.user_id),
        methods=(METHOD,),
        expires_at=int(ends.replace(tzinfo=UTC).timestamp()) if ends is not None else None,
        credential=credential,
        access_token_id=access_token.id if access_token is not None else None,
        project_id=key.project_id,
    )


def _by_trust(cloud: Cloud, key: AccessKey, trust_id: str) -> tuple[str, Bearer]:
    """A token by a trust, which the trustee gets; a key made with impersonation names the trustor."""
    trust = trust_chains.get(cloud.db, trust_id)
    if key.user_id not in (trust.trustor_user_id, trust.trustee_user_id):
        raise NotFound(f"Could not find trust: {trust_id}.", code="TrustNotFound")
    if trust.project_id != key.project_id:
        raise _refused("EC2 credential project does not match the trust project.")
    user_id = trust.trustee_user_id if trust.impersonation else key.user_id
    proven = Proven(user=users.get(cloud.db, user_id), methods=(METHOD,))
    return login.issue(cloud, proven, Attempt(identity={}, scope={"OS-TRUST:trust": {"id": trust_id}}))


def _application_credential(cloud: Cloud, key: AccessKey) -> ApplicationCredential:
    found = application_credentials.find(cloud.db, key.app_cred_id or "")
    if found is None or found.user_id != key.user_id:
        raise NotFound(f"Could not find Application Credential: {key.app_cred_id}.")
    if found.project_id != key.project_id:
        raise _refused("EC2 credential project does not match the application credential project.")
    return found


def _access_token(cloud: Cloud, key: AccessKey) -> AccessToken:
    found = access_tokens.get(cloud.db, key.access_token_id or "")
    if found.user_id != key.user_id:
        raise NotFound("Access token not found", code="AccessTokenNotFound")
    if found.project_id != key.project_id:
        raise _refused("EC2 credential project does not match the OAuth1 access token project.")
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
    return not_proven(message, "Ec2Refused")
