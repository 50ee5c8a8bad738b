# SPDX-License-Identifier: Apache-2.0
"""Access keys for the EC2 and S3 APIs: credentials of the type `ec2`, known by the hash of their access key."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import orjson

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.errors import Unauthorized
from cumulet.services.identity.logic import credentials, projects, users
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Credential


class AccessKey(msgspec.Struct, frozen=True):
    """An access key, opened. The last three say by whom the rights were lent that it stands for, if by anybody."""

    user_id: str
    project_id: str | None
    access: str
    secret: str | None
    trust_id: str | None = None
    app_cred_id: str | None = None
    access_token_id: str | None = None


def credential_id(access: str) -> str:
    """The id of the credential that holds an access key."""
    return hashlib.sha256(access.encode("utf-8", "surrogatepass")).hexdigest()


def get(cloud: Cloud, access: str) -> AccessKey:
    """NotFound where there is none, Unauthorized where the credential is of another type."""
    found = credentials.get(cloud, cloud.db, credential_id(access))
    if found.type != credentials.EC2:
        raise Unauthorized("EC2 access key not found.", code="Ec2KeyNotFound")
    return opened(found)


def of_user(cloud: Cloud, user_id: str) -> list[AccessKey]:
    users.get(cloud.db, user_id)
    wanted = (Filter("user_id", user_id), Filter("type", credentials.EC2))
    return [opened(one) for one in credentials.find_all(cloud, wanted)]


def create(cloud: Cloud, user_id: str, project_id: str) -> AccessKey:
    """Make an access key of a user for a project; whether the user has a role there is asked when it is used."""
    users.get(cloud.db, user_id)
    projects.get(cloud.db, project_id)
    blob = {"access": ids.new_hex(), "secret": ids.new_hex(), "trust_id": None}
    words = {"type": credentials.EC2, "user_id": user_id, "project_id": project_id, "blob": orjson.dumps(blob).decode()}
    return opened(credentials.create(cloud, words))


def delete(cloud: Cloud, access: str) -> None:
    get(cloud, access)
    credentials.delete(cloud, credential_id(access))


def opened(credential: Credential) -> AccessKey:
    """What the blob says; words of it that are no text are left out."""
    blob: dict[str, Any] = orjson.loads(credential.blob)
    words = {name: blob[name] for name in AccessKey.__struct_fields__[2:] if isinstance(blob.get(name), str)}
    return AccessKey(
        credential.user_id, credential.project_id, words.pop("access", ""), words.pop("secret", None), **words
    )
