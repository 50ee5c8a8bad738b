# SPDX-License-Identifier: Apache-2.0
"""Settings of the object store."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from cumulet.settings.base import UNSET, Count, Section

PolicyName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")]
DeviceName = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
Prefix = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{0,64}$")]
AtLeastNone = Annotated[int, msgspec.Meta(ge=0)]

MOST_REPLICAS = 3  # of what nobody has said otherwise of
MOST_FRAGMENTS = 32  # what liberasurecode can tell apart
LOSSY_PARITY = 5  # as Swift refuses it, too

# Codes that give a segment back by any of its fragments, as many as there are data fragments.
EC_TYPES = (
    "isa_l_rs_cauchy",
    "isa_l_rs_vand",
    "isa_l_rs_vand_inv",
    "liberasurecode_rs_vand",
)
LOOPBACK = "127.0.0.1"  # of a machine of its own, whose devices nobody else reaches


class ObjectDevice(Section, frozen=True, kw_only=True):
    """A disk of this machine: a folder that is there and is used for nothing else. `weight` is its share."""

    name: DeviceName
    folder: Path
    weight: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 100.0
    zone: Count = 1


class StoragePolicy(Section, frozen=True, kw_only=True):
    """What whoever makes a container may choose by `name` or one of its `aliases`; `number` 0 is there in any case.

    Its objects lie on the `devices` of these names (none: on all) in so many `replicas` (0: as the store's own).

    With the `type` "erasure_coding" they are cut into segments of `ec_object_segment_size` bytes. Of each segment
    `ec_num_data_fragments` devices keep a fragment, and `ec_num_parity_fragments` more: as many may be lost. `ec_type`
    is one of pyeclib's. With an `ec_duplication_factor` each fragment lies on so many devices. Once there are
    objects nothing of this may be changed but the size of segments, which counts for new ones.
    """

    number: AtLeastNone
    name: PolicyName
    aliases: tuple[PolicyName, ...] = ()
    default: bool = False
    deprecated: bool = False
    devices: tuple[DeviceName, ...] = ()
    replicas: AtLeastNone = 0
    type: Literal["replication", "erasure_coding"] = "replication"
    ec_type: str = ""
    ec_num_data_fragments: AtLeastNone = 0
    ec_num_parity_fragments: AtLeastNone = 0
    ec_object_segment_size: Annotated[int, msgspec.Meta(ge=1, le=1 << 26)] = 1 << 20
    ec_duplication_factor: Count = 1

    def __post_init__(self) -> None:
        """Raise ValueError for what contradicts itself."""
        told = (self.ec_type, self.ec_num_data_fragments, self.ec_num_parity_fragments)
        if self.type == "replication":
            if any(told):
                raise ValueError(f'policy {self.name} says how to encode, but not type = "erasure_coding"')
            return
        if not all(told):
            needed = "ec_type, ec_num_data_fragments and ec_num_parity_fragments"
            raise ValueError(f"policy {self.name} is erasure-coded and lacks one of {needed}")
        if self.ec_type not in EC_TYPES:
            known = ", ".join(EC_TYPES)
            raise ValueError(f"policy {self.name} has the ec_type {self.ec_type}, which is none of {known}")
        if self.fragments > MOST_FRAGMENTS:
            raise ValueError(f"policy {self.name} has more than {MOST_FRAGMENTS} fragments of a segment")
        if self.ec_type == "isa_l_rs_vand" and self.ec_num_parity_fragments >= LOSSY_PARITY:
            raise ValueError(
                f"policy {self.name}: with {LOSSY_PARITY} parity fragments isa_l_rs_vand does not give all data back;"
                " take isa_l_rs_cauchy"
            )
        if self.replicas:
            raise ValueError(f"policy {self.name} is erasure-coded: its fragments are its replicas")

    @property
    def fragments(self) -> int:
        """That differ; 0 for what is replicated."""
        return self.ec_num_data_fragments + self.ec_num_parity_fragments

    @property
    def places(self) -> int:
        """The replicas that its ring has for the fragments; 0 for what is replicated."""
        return self.fragments * self.ec_duplication_factor


class ResellerPrefix(Section, frozen=True, kw_only=True):
    """Accounts whose names begin with `prefix` and a `_`, and the roles in their projects that count there.

    Where there are `service_roles` an operator needs a service's token with one of them as well.
    """

    prefix: Prefix = "AUTH"
    operator_roles: tuple[str, ...] = ("admin", "swiftoperator", "member")
    reader_roles: tuple[str, ...] = ("reader",)
    service_roles: tuple[str, ...] = ()


class RequiredGroup(Section, frozen=True, kw_only=True):
    """Who is `.admin` of an account with this `prefix` needs the `group` as well."""

    prefix: Prefix
    group: str


class TempAuth(Section, frozen=True, kw_only=True):
    """Log-ins as of Swift's TempAuth at `path`, for tests and small sites; none where there are no `users`.

    A user is a line as in Swift's configuration: `user_ACCOUNT_USER = KEY [GROUP ...] [STORAGE_URL]`, or
    `user64_...` with both names in Base64. `prefixes` are those of accounts, the first also that of tokens.
    """

    users: tuple[str, ...] = ()
    path: Annotated[str, msgspec.Meta(pattern=r"^/[A-Za-z0-9._/-]*[A-Za-z0-9._-]$")] = "/auth"
    token_life: Count = 86_400
    prefixes: tuple[Prefix, ...] = ("AUTH",)
    required_groups: tuple[RequiredGroup, ...] = ()
    storage_url_scheme: Literal["default", "http", "https"] = "default"


class ObjectApi(Section, frozen=True, kw_only=True):
    """What Swift's proxy may be told, by the names and with the defaults that it has there.

    `constraints` are those of Swift's file `swift.conf`; `filters` are what filters are told, by their names.
    """

    account_autocreate: bool = True
    allow_account_management: bool = False
    max_containers_per_account: AtLeastNone = 0
    max_containers_whitelist: tuple[str, ...] = ()
    strict_cors_mode: bool = True
    cors_allow_origin: tuple[str, ...] = ()
    cors_expose_headers: tuple[str, ...] = ()
    allow_open_expired: bool = False
    constraints: dict[str, AtLeastNone] = msgspec.field(default_factory=dict)
    filters: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)


class ObjectUpkeep(Section, frozen=True, kw_only=True):
    """What is done beside requests: seconds, by the names that Swift's daemons have for them.

    What was deleted is forgotten after `reclaim_age`. Accounts that were deleted are reaped after `delay_reaping`, with
    a warning where that is not done `reap_warn_after` later. The intervals lie between two runs.
    """

    reclaim_age: Count = 604_800
    delay_reaping: AtLeastNone = 0
    reap_warn_after: Count = 2_592_000
    reaper_interval: Count = 3600
    reconciler_interval: Count = 30
    replicator_interval: Count = 30


class ObjectSharding(Section, frozen=True, kw_only=True):
    """When containers are split into shards, by the names that Swift's sharder has for it; numbers of objects.

    One with `shard_container_threshold` is split into shards of `rows_per_shard` (0: half of it), the last with
    `minimum_shard_size` (0: a fifth of these); so are shards in turn. One with `shrink_threshold` (0: a tenth) or less
    goes into its neighbour, where both have no more than `expansion_limit` (0: three quarters). Without `auto_shard`
    that is done to containers that are told to (`X-Container-Sharding`). `interval` seconds lie between two runs.
    """

    auto_shard: bool = True
    shard_container_threshold: Annotated[int, msgspec.Meta(ge=2)] = 1_000_000
    rows_per_shard: AtLeastNone = 0
    minimum_shard_size: AtLeastNone = 0
    shrink_threshold: AtLeastNone = 0
    expansion_limit: AtLeastNone = 0
    interval: Count = 30

    def __post_init__(self) -> None:
        """Raise ValueError for what Swift's sharder refuses: shards would be split and merged again and again."""
        threshold = self.shard_container_threshold
        for name in ("rows_per_shard", "expansion_limit"):
            if getattr(self, name) >= threshold:
                raise ValueError(f"{name} is not less than shard_container_threshold")
        rows = self.rows_per_shard or threshold // 2
        minimum = self.minimum_shard_size or max(rows // 5, 1)
        if minimum > rows:
            raise ValueError("minimum_shard_size is more than rows_per_shard")
        if (self.shrink_threshold or threshold // 10) > minimum:
            raise ValueError("shrink_threshold is more than minimum_shard_size")


class ObjectStore(Section, frozen=True, kw_only=True):
    """The object store of this machine: its process runs where it is `enabled`.

    Its own files are in `folder` (default: `objects` in the state directory), with one device where `devices` names
    none. Of accounts, containers and objects there are as many `replicas` as devices, three at most, unless it says
    so; a ring has 2**`part_power` partitions. Both count when the rings are made: later `cumulet ring` changes them.
    `durable`: what was acknowledged outlives a power cut. `reserve` bytes of each device are never written to.

    Rings name the devices by `address` and `port`: at another address than the default other hosts reach them there.
    So many `workers` share the store's port and its devices.
    """

    enabled: bool = True
    folder: Path = UNSET
    devices: tuple[ObjectDevice, ...] = ()
    replicas: AtLeastNone = 0
    part_power: Annotated[int, msgspec.Meta(ge=0, le=24)] = 10
    policies: tuple[StoragePolicy, ...] = ()
    address: Annotated[str, msgspec.Meta(pattern=r"^[0-9A-Fa-f.:]{2,45}$")] = LOOPBACK
    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 6200
    workers: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    durable: bool = True
    reserve: AtLeastNone = 64 * 1024 * 1024
    prefixes: tuple[ResellerPrefix, ...] = (ResellerPrefix(),)
    reseller_admin_role: str = "reselleradmin"
    system_reader_roles: tuple[str, ...] = ()
    default_domain: str = "default"
    names_in_acls: bool = True
    temp_auth: TempAuth = TempAuth()
    api: ObjectApi = ObjectApi()
    upkeep: ObjectUpkeep = ObjectUpkeep()
    sharding: ObjectSharding = ObjectSharding()

    def __post_init__(self) -> None:
        """Raise ValueError for what contradicts itself."""
        _check_address(self.address)
        names = [each.name for each in self.devices]
        _unique("devices have the name", names)
        _unique("policies have the number", [each.number for each in self.policies])
        _unique("policies are called", [name.lower() for each in self.policies for name in (each.name, *each.aliases)])
        _unique("prefixes are", [each.prefix for each in self.prefixes])
        if not self.prefixes or not self.temp_auth.prefixes:
            raise ValueError("there is at least one prefix")
        if sum(each.default for each in self.policies) > 1:
            raise ValueError("several policies are the default")
        for policy in self.policies:
            if policy.default and policy.deprecated:
                raise ValueError(f"policy {policy.name} is deprecated and cannot be the default")
            if absent := sorted(set(policy.devices) - set(names)):
                raise ValueError(f"policy {policy.name} names no devices of this store: {', '.join(absent)}")
            have = len(policy.devices or names or ("one",))
            if not self.is_alone:
                continue  # other hosts have devices, too
            if policy.places > have:
                raise ValueError(
                    f"policy {policy.name} needs {policy.places} devices for its fragments, and there are {have}"
                )
            if max(policy.replicas, self.replicas if not policy.replicas else 0) > have:
                raise ValueError(f"policy {policy.name} has more replicas than devices")
        if self.is_alone and self.replicas > len(names or ("one",)):
            raise ValueError("there are more replicas than devices")

    @property
    def is_alone(self) -> bool:
        """Whether no other host reaches these devices."""
        return self.address == LOOPBACK

    def replicas_of(self, devices: int, wanted: int = 0) -> int:
        """How many replicas there are on so many devices."""
        return wanted or self.replicas or min(devices, MOST_REPLICAS)


def _check_address(text: str) -> None:
    """Raise ValueError for what no other host can reach, or what rings would spell in another way."""
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        raise ValueError(f"{text} is no address of this host's devices") from None
    if found.is_unspecified or found.is_multicast or str(found) != text:
        raise ValueError(f"{text} cannot be the address of this host's devices in rings")


def _unique(words: str, found: list[str] | list[int]) -> None:
    for each in found:
        if found.count(each) > 1:  # type: ignore[arg-type]
            raise ValueError(f"two {words} {each}")
