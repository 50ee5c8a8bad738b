# SPDX-License-Identifier: Apache-2.0
"""What an operator may choose: one typed tree, filled from defaults, `cumulet.toml`, the environment and flags.

A later source wins over an earlier one. In the environment a setting is spelled `CUMULET_SECTION__KEY`
(`CUMULET_STATE`, `CUMULET_CONTROL__PORT`); as a flag it is `--set section.key=value`. Values given as text are read by
the type of the setting; a list is separated by commas. `docs/operate/settings.md` describes each one.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_origin, get_type_hints

import msgspec

PREFIX = "CUMULET_"
FILE_NAME = "cumulet.toml"
SYSTEM_FILE = Path("/etc/cumulet") / FILE_NAME
# Names with our prefix that are not settings: where the file is, and where a test has the process killed.
NOT_SETTINGS = frozenset({"CUMULET_CONFIG", "CUMULET_FAULTS"})

_UNSET = Path()
# The image store of a cloud whose settings name none.
LOCAL_STORE = "local"

Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Limit = Annotated[int, msgspec.Meta(ge=-1, le=2**31 - 1)]


class SettingsError(ValueError):
    """The settings cannot be used; `problems` holds one sentence for each fault."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of settings."""


class Listen(Section, frozen=True, kw_only=True):
    """An address that a part listens on; port 0 lets the system choose one.

    `url` is where clients find it, where that is another place: behind a load balancer, the same for all replicas.
    """

    host: str = "127.0.0.1"
    port: Port = 0
    url: Annotated[str, msgspec.Meta(pattern=r"^(https?://[^/]+)?$")] = ""


class Database(Section, frozen=True, kw_only=True):
    """Where the state is: `url` names a PostgreSQL database, without one it is a file in the state directory.

    `connections` is how many of the server's connections one process of this cloud takes at most.
    """

    url: Annotated[str, msgspec.Meta(pattern=r"^(postgres(ql)?://.+)?$")] = ""
    connections: Annotated[int, msgspec.Meta(ge=2)] = 16


class Log(Section, frozen=True, kw_only=True):
    """What the log files hold and how much is kept: `keep` files of `size` bytes beside the one being written.

    Notifications whose event type is one of `notifications`, or stands below it, are logged too: `["identity"]`.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    notifications: tuple[str, ...] = ()
    size: Count = 16 * 1024 * 1024
    keep: Count = 3


class Link(Section, frozen=True, kw_only=True):
    """Where hosts on other machines dial in, over TLS; nobody can while `host` is empty.

    `address` is how hosts and other replicas reach this one (default: `host`). A link counts as lost after `silence`
    seconds without a word. Hosts renew their certificates, which last `certificate_lifetime` seconds, in time.
    """

    host: str = ""
    port: Port = 8702
    address: str = ""
    silence: Annotated[float, msgspec.Meta(ge=0.5)] = 10.0
    certificate_lifetime: Count = 30 * 86_400


class Identity(Section, frozen=True, kw_only=True):
    """Tokens, passwords, projects and limits; lifetimes and windows are in seconds.

    `token_provider` seals new tokens (those of the other are still taken). With `rescope` a scoped token may be
    exchanged for another. A service may use a token, to end what was begun with it, `allow_expired_window` after its
    end. `totp_previous_windows` is how many 30 second passcodes before the present one are taken too. The method
    `external` trusts the header `external_header`, from the addresses `external_from` alone; it is off while empty.
    What users lend to consumers by OAuth 1 ends after `oauth1_access_lifetime` (0: never), what is only asked for after
    `oauth1_request_lifetime`. Clients with a certificate get tokens by OAuth 2.0 once `oauth2_certificate_header` is
    set, which counts from the addresses `external_from` alone; `oauth2_mapping` says who they are. A certificate by
    one of `tokenless_issuers` (names by RFC 4514) stands for a token; who it is for, `tokenless_protocol` says.

    New passwords are hashed by `password_hash_algorithm`, with the parameters that begin with its name (`bcrypt_rounds`
    and `scrypt_rounds` are logarithms); an older hash is replaced at its user's next log-in. `limit_model` says how
    limits of domains and projects bind each other. What a directory says of a user who uses the cloud is asked anew
    after `directory_cache_time`.

    `trusted_dashboards` are the addresses that tokens of a browser's log-in may be sent to. A group that an identity
    provider brought outlives its log-in by `authorization_ttl` minutes, unless the provider says its own.
    `saml_entity_id` is this cloud's name among SAML parties (default: its address); the assertions that it makes for
    other clouds last `saml_assertion_lifetime`.

    Notifications have `notification_format`; those whose event type is in `notification_opt_out` are not written.
    """

    token_lifetime: Count = 3600
    token_provider: Literal["fernet", "jws"] = "fernet"  # noqa: S105  no secret
    rescope: bool = True
    allow_expired_window: Annotated[int, msgspec.Meta(ge=0)] = 172_800
    receipt_lifetime: Count = 300
    totp_previous_windows: Annotated[int, msgspec.Meta(ge=0, le=10)] = 1
    max_redelegation: Annotated[int, msgspec.Meta(ge=0)] = 3
    application_credential_limit: Annotated[int, msgspec.Meta(ge=-1)] = -1
    oauth1_request_lifetime: Annotated[int, msgspec.Meta(ge=0)] = 28_800
    oauth1_access_lifetime: Annotated[int, msgspec.Meta(ge=0)] = 86_400
    oauth2_certificate_header: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9-]+)?$")] = ""
    oauth2_mapping: str = "oauth2_mapping"
    tokenless_issuers: tuple[str, ...] = ()
    tokenless_protocol: str = "x509"
    external_header: Annotated[str, msgspec.Meta(pattern=r"^([A-Za-z0-9-]+)?$")] = ""
    external_from: tuple[str, ...] = ("127.0.0.1", "::1")
    password_hash_algorithm: Literal["bcrypt", "scrypt", "pbkdf2_sha512"] = "bcrypt"  # noqa: S105  no secret
    bcrypt_rounds: Annotated[int, msgspec.Meta(ge=4, le=31)] = 12
    scrypt_rounds: Annotated[int, msgspec.Meta(ge=1, le=24)] = 16
    scrypt_block_size: Annotated[int, msgspec.Meta(ge=1, le=64)] = 8
    scrypt_parallelism: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    pbkdf2_sha512_rounds: Annotated[int, msgspec.Meta(ge=1000)] = 60_000
    max_project_tree_depth: Count = 5
    limit_model: Literal["flat", "strict_two_level"] = "flat"
    directory_cache_time: Count = 600
    trusted_dashboards: tuple[str, ...] = ()
    authorization_ttl: Annotated[int, msgspec.Meta(ge=0)] = 0
    saml_entity_id: str = ""
    saml_assertion_lifetime: Count = 3600
    notification_format: Literal["cadf", "basic"] = "cadf"
    notification_opt_out: tuple[str, ...] = ("identity.authenticate.success", "identity.authenticate.pending")


class SecurityCompliance(Section, frozen=True, kw_only=True):
    """Rules of passwords and accounts, under Keystone's names and with its defaults; None: there is no such rule."""

    lockout_failure_attempts: Count | None = None
    lockout_duration: Count | None = 1800
    disable_user_account_days_inactive: Count | None = None
    password_expires_days: Count | None = None
    unique_last_password_count: Annotated[int, msgspec.Meta(ge=0)] = 0
    minimum_password_age: Annotated[int, msgspec.Meta(ge=0)] = 0
    password_regex: str | None = None
    password_regex_description: str | None = None
    change_password_upon_first_use: bool = False
    report_invalid_password_hash: tuple[Literal["event"], ...] = ()
    invalid_password_hash_max_chars: Count | None = None

    def __post_init__(self) -> None:
        try:
            re.compile(self.password_regex or "")
        except re.error as error:
            raise ValueError(f"it is no regular expression: {error}") from None


StoreId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class ImageStore(Section, frozen=True, kw_only=True, tag_field="type"):
    """A place for images' bytes, of any type. Of several that hold an image, the one with most `weight` is read."""

    id: StoreId
    description: str = ""
    weight: int = 0
    read_only: bool = False


class FileImageStore(ImageStore, frozen=True, kw_only=True, tag="file"):
    """A folder (default: one in the state directory); on several machines, one that all of them mount."""

    folder: Path = _UNSET


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
    secret_key_file: Path = _UNSET
    part_size: Annotated[int, msgspec.Meta(ge=5 << 20, le=1 << 30)] = 16 << 20


AnyImageStore = FileImageStore | FakeImageStore | HttpImageStore | S3ImageStore


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


class Compute(Section, frozen=True, kw_only=True):
    """Servers. `stop_timeout` is how long a guest may take to shut down, in seconds, before its power is cut."""

    driver: Literal["qemu", "fake"] = "qemu"
    accelerator: Literal["auto", "kvm", "tcg"] = "auto"
    stop_timeout: Annotated[float, msgspec.Meta(ge=0)] = 60.0


class Network(Section, frozen=True, kw_only=True):
    """Networks. The host owns `external_gateway` within `external_cidr`; floating IPs are taken from the allocation.

    What one host sends another leaves from `tunnel_address` (an IPv4 address of the host; default: the one by which it
    reaches the control plane) at UDP port `tunnel_port`; tunnels are numbered out of `segments`. `mtu` is what the
    network between hosts carries, in bytes. `gateway` says whether routers may live on this host: `auto` where the
    control plane runs too. They move to another such host `router_patience` seconds after theirs was taken for dead.
    `egress` lets guests out by pasta; they reach the host's own TCP ports `host_services`. With `external_device`, a
    device that this host can spare, floating IPs are on the network behind it, whose router has `external_gateway`.
    """

    driver: Literal["fabric", "fake"] = "fabric"
    external_cidr: str = "172.24.4.0/24"
    external_gateway: str = "172.24.4.1"
    external_allocation: str = "172.24.4.10-172.24.4.250"
    mtu: Annotated[int, msgspec.Meta(ge=1280, le=65535)] = 1500
    tunnel_address: Annotated[str, msgspec.Meta(pattern=r"^([0-9]{1,3}(\.[0-9]{1,3}){3})?$")] = ""
    tunnel_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 4789
    segments: Annotated[str, msgspec.Meta(pattern=r"^[1-9][0-9]{0,7}-[1-9][0-9]{0,7}$")] = "1-65535"
    gateway: Literal["auto", "yes", "no"] = "auto"
    router_patience: Annotated[float, msgspec.Meta(ge=0)] = 60.0
    egress: bool = True
    host_services: tuple[Port, ...] = ()
    external_device: str = ""


class BlockStorage(Section, frozen=True, kw_only=True):
    """Volumes."""

    driver: Literal["file", "fake"] = "file"


class Placement(Section, frozen=True, kw_only=True):
    """The search for candidates, under Placement's names and with its defaults.

    With `randomize_allocation_candidates` those that an answer has room for are any of those that were found, in any
    order. No more than `max_allocation_candidates` are looked for, -1: however many there are; breadth first, one of
    each tree before a second one of any. `incomplete_consumer_project_id` and `incomplete_consumer_user_id` stand for
    the project and the user that clients of API 1.7 and before do not name.
    """

    randomize_allocation_candidates: bool = False
    max_allocation_candidates: Limit = -1
    allocation_candidates_generation_strategy: Literal["depth-first", "breadth-first"] = "depth-first"
    incomplete_consumer_project_id: str = "00000000-0000-0000-0000-000000000000"
    incomplete_consumer_user_id: str = "00000000-0000-0000-0000-000000000000"


class KeyManager(Section, frozen=True, kw_only=True):
    """Secrets. A project that has no quota of its own may have so many of each thing; -1: as many as it likes.

    Secrets that expired `purge_expired_after` seconds ago are removed; nobody could reach them since they expired.
    """

    quota_secrets: Limit = -1
    quota_orders: Limit = -1
    quota_containers: Limit = -1
    quota_consumers: Limit = -1
    quota_cas: Limit = -1
    purge_expired_after: Annotated[int, msgspec.Meta(ge=0, le=3_153_600_000)] = 7_776_000


class Settings(Section, frozen=True, kw_only=True):
    """The whole tree.

    `state` holds all that must survive, `run` what need not (sockets, locks; default: `run` in the state directory),
    `cache` what can be made again. `host` is this machine's name in the cloud, `replica` the name of this machine's
    control plane and data process among several (default: the host's); `public_host` the name or address that
    clients reach it by (default: the control address). `address` is where the cloud's other hosts reach this one, for
    the disks that it exports. `policy_dir` may hold `<service>.yaml` with an operator's
    own rules. `master_key` is the file with the keys that seal what the database keeps secret. `threads` is the size
    of the pool that requests run in.
    """

    state: Path
    run: Path = _UNSET
    cache: Path = _UNSET
    host: str = msgspec.field(default_factory=socket.gethostname)
    address: str = ""
    replica: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9._-]{0,64}$")] = ""
    public_host: str = ""
    region: str = "RegionOne"
    policy_dir: Path = _UNSET
    master_key: Path = _UNSET
    threads: Count = 4
    control: Listen = Listen(port=8700)
    data: Listen = Listen(port=8701)
    database: Database = Database()
    log: Log = Log()
    link: Link = Link()
    identity: Identity = Identity()
    security_compliance: SecurityCompliance = SecurityCompliance()
    image: Image = Image()
    image_format: ImageFormat = ImageFormat()
    image_use: ImageUse = ImageUse()
    image_copies: ImageCopies = ImageCopies()
    image_import: ImageImport = ImageImport()
    compute: Compute = Compute()
    network: Network = Network()
    block_storage: BlockStorage = BlockStorage()
    placement: Placement = Placement()
    key_manager: KeyManager = KeyManager()

    def __post_init__(self) -> None:
        fill = msgspec.structs.force_setattr
        fill(self, "state", self.state.absolute())
        own_run = f"run-{self.replica}" if self.replica not in ("", self.host) else "run"
        fill(self, "run", self.state / own_run if self.run == _UNSET else self.run.absolute())
        fill(self, "replica", self.replica or self.host)
        fill(self, "cache", default_cache() if self.cache == _UNSET else self.cache.absolute())
        key = self.state / "keys" / "master.key" if self.master_key == _UNSET else self.master_key.absolute()
        fill(self, "master_key", key)
        fill(self, "policy_dir", self.state / "policy" if self.policy_dir == _UNSET else self.policy_dir.absolute())

    @property
    def control_url(self) -> str:
        """Where clients find the control plane, without a slash at the end."""
        return self._url(self.control)

    @property
    def data_url(self) -> str:
        """Where clients find the services that carry bulk bytes, without a slash at the end."""
        return self._url(self.data)

    @property
    def link_address(self) -> str:
        """The name or address at which hosts of other machines, and other replicas, reach this one."""
        wildcards = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        return self.link.address or (socket.gethostname() if self.link.host in wildcards else self.link.host)

    def _url(self, listen: Listen) -> str:
        if listen.url:
            return listen.url
        host = self.public_host or listen.host
        return f"http://[{host}]:{listen.port}" if ":" in host else f"http://{host}:{listen.port}"


def load(
    path: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    overrides: Mapping[str, Any] | None = None,
) -> Settings:
    """Read the settings from all their sources.

    `path` names the file (else `CUMULET_CONFIG`, else `cumulet.toml` in the state directory, else
    `/etc/cumulet/cumulet.toml`, the last two only where they exist); `overrides` are flags by dotted name
    (`{"control.port": "8800"}`). Raises SettingsError, which names every unknown setting with the nearest known one.
    """
    flags = {name: (value, f"--set {name}") for name, value in (overrides or {}).items()}
    spoken = {**dict(_from_environment(environ)), **flags}
    state = spoken["state"][0] if "state" in spoken else default_state(environ)
    file = _find_file(path, environ, Path(state))
    values = {"state": (str(state), "the default")}
    if file is not None:
        values.update(_from_file(file))
    values.update(spoken)
    return _build(values)


def default_state(environ: Mapping[str, str] = os.environ) -> Path:
    """Where state is kept when nothing says otherwise: the system's place for root, the user's own for others."""
    if os.geteuid() == 0:
        return Path("/var/lib/cumulet")
    return _user_folder(environ, "XDG_STATE_HOME", ".local/state") / "cumulet"


def default_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Where things that can be made again are kept."""
    if os.geteuid() == 0:
        return Path("/var/cache/cumulet")
    return _user_folder(environ, "XDG_CACHE_HOME", ".cache") / "cumulet"


def known_names(section: type[Section] = Settings, prefix: str = "") -> dict[str, Any]:
    """Every setting's dotted name and type."""
    names: dict[str, Any] = {}
    for name, kind in get_type_hints(section, include_extras=True).items():
        if isinstance(kind, type) and issubclass(kind, Section):
            names.update(known_names(kind, f"{prefix}{name}."))
        else:
            names[prefix + name] = kind
    return names


def _user_folder(environ: Mapping[str, str], variable: str, fallback: str) -> Path:
    return Path(environ[variable]) if environ.get(variable) else Path.home() / fallback


def _find_file(path: Path | None, environ: Mapping[str, str], state: Path) -> Path | None:
    named = path or (Path(environ["CUMULET_CONFIG"]) if environ.get("CUMULET_CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError([f"the settings file {named} is not there"])
        return named
    return next((place for place in (state / FILE_NAME, SYSTEM_FILE) if place.is_file()), None)


def _from_file(file: Path) -> dict[str, tuple[Any, str]]:
    try:
        tree = tomllib.loads(file.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError([f"{file}: {error}"]) from error
    return {name: (value, str(file)) for name, value in _leaves(tree)}


def _leaves(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in tree.items():
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _from_environment(environ: Mapping[str, str]) -> Iterator[tuple[str, tuple[Any, str]]]:
    for variable, text in environ.items():
        if variable.startswith(PREFIX) and variable not in NOT_SETTINGS:
            yield variable[len(PREFIX) :].lower().replace("__", "."), (text, variable)


def _build(values: Mapping[str, tuple[Any, str]]) -> Settings:
    known = known_names()
    problems = [_unknown(name, source, known) for name, (_, source) in values.items() if name not in known]
    tree: dict[str, Any] = {}
    for name, (value, _) in values.items():
        *sections, key = name.split(".")
        folder = tree
        for section in sections:
            folder = folder.setdefault(section, {})
        folder[key] = _split(value, known.get(name))
    if problems:
        raise SettingsError(problems)
    try:
        return msgspec.convert(tree, Settings, strict=False, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise SettingsError([_refusal(error, values)]) from error


def _unknown(name: str, source: str, known: Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{source}: there is no setting {name}{hint}"


def _split(value: Any, kind: Any) -> Any:
    if isinstance(value, str) and get_origin(kind) in (tuple, list):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


def _decode(kind: type, value: Any) -> Any:
    if kind is Path and isinstance(value, str) and value:
        return Path(value).expanduser()
    raise ValueError("expected a path")


def _refusal(error: msgspec.ValidationError, values: Mapping[str, tuple[Any, str]]) -> str:
    text = str(error)
    place = re.search(r" - at `\$\.([^`\[]+)", text)
    if place is None:
        return text
    name = place.group(1)
    source = values[name][1] if name in values else "settings"
    return f"{source}: {name}: {text[: place.start()]}"
