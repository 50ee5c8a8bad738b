# SPDX-License-Identifier: Apache-2.0
"""Settings of images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from cumulet.settings.base import UNSET, Count, Limit, Port, Section

# The image store of a cloud whose settings name none.
LOCAL_STORE = "local"

StoreId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class ImageStore(Section, frozen=True, kw_only=True, tag_field="type"):
    """A place for images' bytes, of any type. Of several that hold an image, the one with most `weight` is read."""

    id: StoreId
    description: str = ""
    weight: int = 0
    read_only: bool = False


class FileImageStore(ImageStore, frozen=True, kw_only=True, tag="file"):
    """A folder (default: one in the state directory); on several machines, one that all of them mount."""

    folder: Path = UNSET


class FakeImageStore(ImageStore, frozen=True, kw_only=True, tag="fake"):
    """A folder in the state directory, for tests."""


class HttpImageStore(ImageStore, frozen=True, kw_only=True, tag="http"):
    """Bytes that web servers have, where imports may fetch from: nothing is written there. `timeout` is in seconds."""

    timeout: Annotated[float, msgspec.Meta(gt=0)] = 60.0


class S3ImageStore(ImageStore, frozen=True, kw_only=True, tag="s3"):
    """A bucket of a server that speaks S3, at `endpoint` (empty: Amazon's in `region`).

    The secret of `access_key` is the content of `secret_key_file`. Names in the bucket begin with `prefix`. What is
    written goes there in pieces of `part_size` bytes.
    """

    bucket: str
    endpoint: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^/]+)?$")] = ""
    region: str = "us-east-1"
    prefix: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9._-]+/)*$")] = ""
    access_key: str = ""
    secret_key_file: Path = UNSET
    part_size: Annotated[int, msgspec.Meta(ge=5 << 20, le=1 << 30)] = 16 << 20


class SwiftImageStore(ImageStore, frozen=True, kw_only=True, tag="swift"):
    """A container of the cloud's own object store, in the account of a `project` of the default domain.

    It is made with `storage_policy`. Larger images are written in segments of `part_size` bytes. `ca_file` holds
    authorities that are trusted beside the system's.
    """

    container: StoreId = "glance"
    project: str = "service"
    storage_policy: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{0,64}$")] = ""
    part_size: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 30)] = 16 << 20
    ca_file: Path = UNSET


AnyImageStore = FileImageStore | FakeImageStore | HttpImageStore | S3ImageStore | SwiftImageStore


class Image(Section, frozen=True, kw_only=True):
    """The image service. `guest` is the test image that a new cloud is seeded with; empty: the one built and cached.

    Without `stores` there is one, `local`, of the type `driver`. New images go to `default_store` (default: the first
    that can be written). Owners see where stores keep their images, and may change it, with `show_multiple_locations`;
    `show_image_direct_url` shows the address of the best copy. With `do_secure_hash` data that somebody else put into
    a store are summed, slowly, once an image is said to have them. Copies of what is in far stores are kept at hand,
    up to `cache_size` bytes (0: there is no cache).
    """

    driver: Literal["file", "fake"] = "file"
    guest: str = ""
    stores: tuple[AnyImageStore, ...] = ()
    default_store: str = ""
    show_multiple_locations: bool = False
    show_image_direct_url: bool = False
    do_secure_hash: bool = True
    cache_size: Annotated[int, msgspec.Meta(ge=0)] = 10 << 30

    def __post_init__(self) -> None:
        named = [each.id for each in self.stores]
        if len(set(named)) != len(named):
            raise ValueError("two stores have one id")
        if any(each.startswith("os_glance_") for each in named):
            raise ValueError("the ids that begin with os_glance_ are taken")
        writable = [each.id for each in self.stores if not each.read_only and not isinstance(each, HttpImageStore)]
        if self.stores and not writable:
            raise ValueError("no store can be written")
        if self.default_store and self.default_store not in (writable or [LOCAL_STORE]):
            raise ValueError(f"the default store {self.default_store} is none that can be written")


class ImageImport(Section, frozen=True, kw_only=True):
    """How images are imported, under Glance's names and with its defaults.

    `methods` are offered to users; `plugins` work on the data in this order before they are an image's own.

    An address that users name must have one of the `allowed_schemes` (where there are none: none of the
    `disallowed_schemes`), likewise with hosts and ports. This machine and link-local addresses are refused unless
    `allowed_hosts` names them. A server that is silent for `timeout` seconds is given up, and any download after
    `time_limit` seconds.

    `image_conversion` makes `output_format` of the data, `inject_image_metadata` writes `inject` (`name:value`) on the
    images of all who have none of the roles `ignore_user_roles`. `glance-download` takes over properties whose names
    begin with one of `extra_properties`. Tasks are shown for `task_time_to_live` hours after their end.
    """

    methods: tuple[Literal["glance-direct", "web-download", "copy-image", "glance-download"], ...] = (
        *("glance-direct", "web-download", "copy-image"),
    )
    plugins: tuple[str, ...] = ()
    allowed_schemes: tuple[str, ...] = ("http", "https")
    disallowed_schemes: tuple[str, ...] = ()
    allowed_hosts: tuple[str, ...] = ()
    disallowed_hosts: tuple[str, ...] = ()
    allowed_ports: tuple[Port, ...] = (80, 443)
    disallowed_ports: tuple[Port, ...] = ()
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    time_limit: Annotated[float, msgspec.Meta(gt=0)] = 86_400.0
    output_format: Literal["raw", "qcow2", "vmdk"] = "raw"
    inject: tuple[Annotated[str, msgspec.Meta(pattern=r"^[^:]{1,255}:")], ...] = ()
    ignore_user_roles: tuple[str, ...] = ("admin",)
    extra_properties: tuple[str, ...] = ("hw_", "trait:", "os_distro", "os_secure_boot", "os_type")
    task_time_to_live: Count = 48


class ImageFormat(Section, frozen=True, kw_only=True):
    """Which formats images may have, under Glance's names and with its defaults.

    Data that are not of their image's format are refused unless `require_image_format_match` is off; those that are
    unsafe always are. Of VMDK the types in `vmdk_allowed_types` are taken, in one file at any rate. What is wrong with
    a partition table may be forgiven: `gpt_safety_checks_nonfatal = ["mbr"]`.
    """

    disk_formats: tuple[str, ...] = ("ami", "ari", "aki", "vhd", "vhdx", "vmdk", "raw", "qcow2", "vdi", "iso", "ploop")
    container_formats: tuple[str, ...] = ("ami", "ari", "aki", "bare", "ovf", "ova", "docker", "compressed")
    require_image_format_match: bool = True
    vmdk_allowed_types: tuple[str, ...] = ("streamOptimized", "monolithicSparse")
    gpt_safety_checks_nonfatal: tuple[str, ...] = ()


class ImageUse(Section, frozen=True, kw_only=True):
    """What users may write on images and how many they may have, under Glance's names and with its defaults.

    The file `property_protection_file` says whose properties are whose, by roles or by rules of the policy. With
    `use_keystone_limits` a project's images are held against its limits in the identity service. The quotas are one
    image's; -1: as many as it likes. `user_storage_quota` is what each project may store, in bytes or with a unit
    (`10GB` are 10 << 30), 0: as much as it likes; `image_size_cap` is in bytes. `schema_image_file` describes, as JSON,
    the properties that the schema of images names beside the built-in ones.
    """

    property_protection_file: str = ""
    property_protection_rule_format: Literal["roles", "policies"] = "roles"
    use_keystone_limits: bool = False
    image_property_quota: Limit = 128
    image_tag_quota: Limit = 128
    image_member_quota: Limit = 128
    image_location_quota: Limit = 10
    user_storage_quota: Annotated[str, msgspec.Meta(pattern=r"^[0-9]+([KMGT]?B)?$")] = "0"
    image_size_cap: Annotated[int, msgspec.Meta(ge=1, le=1 << 62)] = 1 << 40
    schema_image_file: str = ""


class ImageCopies(Section, frozen=True, kw_only=True):
    """What a host keeps of the images that it has fetched: never less than its disks stand on.

    At most `size` bytes (0: any number), those that were used last; and what has not been used for `age` seconds goes
    (0: nothing does).
    """

    size: Annotated[int, msgspec.Meta(ge=0)] = 0
    age: Annotated[float, msgspec.Meta(ge=0)] = 86_400.0
