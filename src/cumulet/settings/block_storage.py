# SPDX-License-Identifier: Apache-2.0
"""Settings of volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from cumulet.kernel import plugins
from cumulet.settings.base import UNSET, Count, Section, decode

# Entry points of the kinds that other packages bring, each a `drivers.kinds.BackendKind`.
GROUP = "cumulet.block_storage.backends"

BackendName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Zone = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
# A limit in the words of Cinder's QoS specs: bytes or requests a second.
LimitName = Literal[
    "total_bytes_sec", "read_bytes_sec", "write_bytes_sec",
    "total_iops_sec", "read_iops_sec", "write_iops_sec",
    "total_bytes_sec_max", "read_bytes_sec_max", "write_bytes_sec_max",
    "total_iops_sec_max", "read_iops_sec_max", "write_iops_sec_max",
    "size_iops_sec",
]  # fmt: skip


class VolumeBackend(Section, frozen=True, kw_only=True, tag_field="driver"):
    """A place of a host for volumes, known as `host@name`.

    `capacity` (GiB) is how much of its place it may fill, 0 all. `reserved_percentage` of that is left free, and the
    rest is promised to volumes `max_over_subscription_ratio` times. `qos` limits each of its volumes that has no QoS
    specs. `availability_zone` is "" for the cloud's own. Volume types may ask for its `capabilities`, beside what each
    back end says of itself. `filter_function` and `goodness_function` are conditions in the words of Cinder's
    DriverFilter and GoodnessWeigher.
    """

    name: BackendName
    capacity: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    reserved_percentage: Annotated[int, msgspec.Meta(ge=0, le=100)] = 0
    max_over_subscription_ratio: Annotated[float, msgspec.Meta(ge=1)] = 20.0
    qos: dict[LimitName, Annotated[int, msgspec.Meta(ge=1)]] = msgspec.field(default_factory=dict)
    availability_zone: Annotated[str, msgspec.Meta(max_length=255)] = ""
    capabilities: dict[str, str] = msgspec.field(default_factory=dict)
    filter_function: str = ""
    goodness_function: str = ""

    @property
    def driver(self) -> str:
        """The name of its kind."""
        return str(type(self).__struct_config__.tag)


class SharedVolumeBackend(VolumeBackend, frozen=True, kw_only=True):
    """A storage that several hosts reach: its disks are opened by each of them, and none exports them to the others.

    `cluster` is what all of these hosts call it. It is known as `DRIVER:CLUSTER@NAME`, whichever of them does the work.
    """

    cluster: BackendName

    @property
    def place(self) -> str:
        return f"{self.driver}:{self.cluster}"


class FileVolumeBackend(VolumeBackend, frozen=True, kw_only=True, tag="file"):
    """Files in a folder of the host (default: one in the state directory)."""

    folder: Path = UNSET


class IscsiVolumeBackend(VolumeBackend, frozen=True, kw_only=True, tag="iscsi"):
    """Raw files in a folder of the host (default: one in the state directory), which servers open over iSCSI.

    `port` is that of the targets on the host's own address. With `write_cache` a write is answered before it is on the
    disk: what a guest has not flushed is lost where the host, but not the guest, loses its power.
    """

    folder: Path = UNSET
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 3260
    write_cache: bool = False


class FolderVolumeBackend(SharedVolumeBackend, frozen=True, kw_only=True, tag="shared"):
    """Files in a folder that all of its hosts have mounted, from NFS or a file system of a cluster."""

    folder: Path


class FakeVolumeBackend(VolumeBackend, frozen=True, kw_only=True, tag="fake"):
    """Nothing but words, for tests; with `iscsi` it says that servers open its volumes so."""

    iscsi: bool = False


_OWN: dict[str, type[VolumeBackend]] = {
    "file": FileVolumeBackend,
    "iscsi": IscsiVolumeBackend,
    "shared": FolderVolumeBackend,
    "fake": FakeVolumeBackend,
}


def _read(said: Any) -> VolumeBackend:
    """A back end as the settings tell it. Raises ValueError."""
    if isinstance(said, VolumeBackend):
        return said
    if not isinstance(said, dict) or not isinstance(said.get("driver"), str):
        raise ValueError("each of the back ends is a table with a name and a driver")
    driver = said["driver"]
    try:
        kind = _OWN[driver] if driver in _OWN else plugins.load(GROUP, driver).settings
        found: VolumeBackend = msgspec.convert(said, kind, strict=False, dec_hook=decode)
    except LookupError as error:
        raise ValueError(f"there is no driver {driver} for back ends") from error
    except msgspec.ValidationError as error:
        raise ValueError(f"back end {said.get('name')}: {error}") from error
    return found


# What everybody may filter lists by: Cinder's `resource_filters.json`.
RESOURCE_FILTERS: dict[str, tuple[str, ...]] = {
    "volume": (
        "name", "status", "metadata", "bootable", "migration_status", "availability_zone", "group_id", "size",
        "created_at", "updated_at", "consumes_quota",
    ),
    "backup": ("name", "status", "volume_id"),
    "snapshot": ("name", "status", "volume_id", "metadata", "availability_zone", "consumes_quota"),
    "group": ("name",),
    "group_snapshot": ("name", "status", "group_id"),
    "attachment": ("volume_id", "status", "instance_id", "attach_status"),
    "message": ("resource_uuid", "resource_type", "event_id", "request_id", "message_level"),
    "pool": ("name", "volume_type"),
    "volume_type": ("is_public", "extra_specs"),
}  # fmt: skip


class BlockStorage(Section, frozen=True, kw_only=True):
    """Volumes. Without `backends` a host has one, which is called as its `driver`.

    The rest is for the control plane, by Cinder's names and with its defaults. On besides Cinder's own filters are
    those of hints, of what back ends say themselves (`filter_function`), and of what has failed already.
    """

    driver: Literal["file", "fake"] = "file"
    default_group_type: str = ""
    resource_filters: dict[str, tuple[str, ...]] = msgspec.field(default_factory=RESOURCE_FILTERS.copy)
    backends: tuple[Any, ...] = ()
    storage_availability_zone: Zone = "nova"
    default_availability_zone: Annotated[str, msgspec.Meta(max_length=255)] = ""
    allow_availability_zone_fallback: bool = False
    scheduler_default_filters: tuple[str, ...] = (
        "AvailabilityZoneFilter",
        "CapacityFilter",
        "CapabilitiesFilter",
        "DriverFilter",
        "DifferentBackendFilter",
        "SameBackendFilter",
        "InstanceLocalityFilter",
        "IgnoreAttemptedHostsFilter",
    )
    scheduler_default_weighers: tuple[str, ...] = ("CapacityWeigher",)
    scheduler_max_attempts: Count = 3
    capacity_weight_multiplier: float = 1.0
    allocated_capacity_weight_multiplier: float = -1.0
    volume_number_multiplier: float = -1.0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "backends", tuple(_read(each) for each in self.backends))
        names = [each.name for each in self.backends]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two back ends are called {twice[0]}")
        ports = [each.port for each in self.backends if isinstance(each, IscsiVolumeBackend)]
        if len(set(ports)) < len(ports):
            raise ValueError("two iSCSI back ends have the same port")

    @property
    def own_backends(self) -> tuple[VolumeBackend, ...]:
        """The back ends of this host, the first one for volumes that name none."""
        if self.backends:
            return self.backends
        kind = FakeVolumeBackend if self.driver == "fake" else FileVolumeBackend
        return (kind(name=self.driver),)
