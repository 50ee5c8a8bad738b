# SPDX-License-Identifier: Apache-2.0
"""Settings of volumes' backups."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from cumulet.settings.base import UNSET, Section


class Bucket(Section, frozen=True, kw_only=True):
    """A bucket of a server that speaks S3, at `endpoint` (empty: Amazon's in `region`).

    The secret of `access_key` is the content of `secret_key_file`. Names in the bucket begin with `prefix`.
    """

    bucket: str = ""
    endpoint: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^/]+)?$")] = ""
    region: str = "us-east-1"
    prefix: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9._-]+/)*$")] = ""
    access_key: str = ""
    secret_key_file: Path = UNSET


class Account(Section, frozen=True, kw_only=True):
    """Accounts of the cloud's own object store: with `per_user` each project's own.

    With `single_user` all backups are in that of one `project`, named so in the default domain. Containers that are
    not there are made with `storage_policy`. `ca_file` holds authorities that are trusted beside the system's.
    """

    auth: Literal["per_user", "single_user"] = "per_user"
    project: str = "service"
    storage_policy: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{0,64}$")] = ""
    ca_file: Path = UNSET


class VolumeBackups(Section, frozen=True, kw_only=True):
    """Backups of volumes: in `folder`, which all hosts mount (default: one in each host's state directory), or in `s3`,
    or in `swift`, the cloud's own object store.

    They are blocks, packed with `compression`, in objects of up to `object_size` bytes. `container` is where those go
    for which none is named.
    """

    driver: Literal["files", "s3", "swift"] = "files"
    folder: Path = UNSET
    s3: Bucket = Bucket()
    swift: Account = Account()
    compression: Literal["zlib", "none"] = "zlib"
    object_size: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 30)] = 32 << 20
    container: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] = "volumebackups"

    def __post_init__(self) -> None:
        if self.driver == "s3" and not self.s3.bucket:
            raise ValueError("the driver s3 needs a bucket")

    @property
    def is_shared(self) -> bool:
        """Whether every host finds what another one has stored."""
        return self.driver != "files" or self.folder != UNSET
