# SPDX-License-Identifier: Apache-2.0
"""What a store begins with: its folder, its secret, its rings and the folders of its devices.

All of it is made where it is missing and never made anew: a ring is changed by `cumulet ring`, and a device that was
made once and has lost its marker (its disk is not mounted, or was replaced) is not taken for a new one. A host that has
joined a cloud makes its devices alone: the secret and the rings are its cluster's, and are brought to it.
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import secrets
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from cumulet.kernel.errors import Conflict, Invalid, NotReady
from cumulet.services.object_store.drivers.base import DeviceGone
from cumulet.services.object_store.drivers.local import files as device_files
from cumulet.services.object_store.engine.base import Policy
from cumulet.services.object_store.engine.coded.scheme import Scheme
from cumulet.services.object_store.ring import files as ring_files
from cumulet.services.object_store.ring.devices import Device
from cumulet.settings.object_store import ObjectDevice, ObjectStore, StoragePolicy

LOG = logging.getLogger(__name__)

SECRET = "secret.json"  # noqa: S105 - the name of its file
RINGS, MADE, OWN = "rings", "made", "device"
MIN_PART_HOURS = 1
FIRST = StoragePolicy(number=0, name="Policy-0")


class Secret(msgspec.Struct, frozen=True, kw_only=True):
    """What is hashed with names, so that nobody can choose where they go; and what tokens are sealed with."""

    prefix: str
    suffix: str

    def __repr__(self) -> str:
        return "Secret()"

    @property
    def seal(self) -> bytes:
        return f"{self.prefix}/{self.suffix}".encode()

    @property
    def print(self) -> str:
        """By which two hosts find out whether they have the same."""
        return hashlib.sha256(b"cumulet object store\0" + self.seal).hexdigest()


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """`devices` are those of the settings, which rings name by `address` and `port`; `policies` are by number."""

    folder: Path
    secret: Secret
    devices: tuple[ObjectDevice, ...]
    policies: tuple[Policy, ...]
    address: str
    port: int

    @property
    def rings(self) -> Path:
        return self.folder / RINGS

    @property
    def ring_names(self) -> list[str]:
        return ring_names(each.number for each in self.policies)


def prepare(folder: Path, settings: ObjectStore, *, joined: bool = False) -> Home:
    """Make what is missing. Workers do it one after the other.

    Raises OSError, Invalid for a file that is not what it should be, and NotReady as long as a host that has `joined`
    has not got its secret and all of its rings.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _alone(folder):
        (folder / RINGS).mkdir(exist_ok=True)
        (folder / MADE).mkdir(exist_ok=True)
        devices = settings.devices
        if not devices and not joined:
            devices = (ObjectDevice(name=OWN, folder=folder / OWN),)
            devices[0].folder.mkdir(exist_ok=True)
        wanted = policies_of(settings)
        secret = read_secret(folder) if joined else _secret(folder / SECRET)
        if not joined:
            _make_rings(folder / RINGS, settings, devices, wanted)
        names = ring_names(each.number for each in wanted)
        absent = [f"ring {name}" for name in names if not (folder / RINGS / f"{name}.ring.gz").exists()]
        if secret is None or absent:
            missing = ", ".join([*(["the secret"] if secret is None else []), *absent])
            raise NotReady(f"It must be brought here first (cumulet ring distribute): {missing}.")
        for device in devices:
            _make_device(folder / MADE / device.name, device)
    policies = tuple(_policy(each) for each in wanted)
    return Home(
        folder=folder, secret=secret, devices=devices, policies=policies, address=settings.address, port=settings.port
    )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def ring_name(policy: int | None = None) -> str:
    """As Swift calls the ring's file of objects in a policy."""
    return f"object-{policy}" if policy else "object"


def ring_names(policies: Iterable[int]) -> list[str]:
    """All rings of a store with these policies."""
    return ["account", "container", *map(ring_name, policies)]


def policies_of(settings: ObjectStore) -> list[StoragePolicy]:
    """By number; number 0 is among them, and one is the default."""
    found = {each.number: each for each in settings.policies}
    found.setdefault(0, FIRST)
    if not any(each.default for each in found.values()):
        if found[0].deprecated:
            raise Invalid("Policy 0 is deprecated and no other is the default: say which one in object_store.policies.")
        found[0] = msgspec.structs.replace(found[0], default=True)
    return [found[number] for number in sorted(found)]


def scheme_of(policy: StoragePolicy) -> Scheme | None:
    """How it encodes; None for one that keeps replicas."""
    if not policy.fragments:
        return None
    return Scheme(
        type=policy.ec_type,
        data=policy.ec_num_data_fragments,
        parity=policy.ec_num_parity_fragments,
        segment=policy.ec_object_segment_size,
        copies=policy.ec_duplication_factor,
    )


def _policy(each: StoragePolicy) -> Policy:
    return Policy(
        number=each.number,
        name=each.name,
        aliases=each.aliases,
        default=each.default,
        deprecated=each.deprecated,
        scheme=scheme_of(each),
    )


def read_secret(folder: Path) -> Secret | None:
    """The secret that is kept, None where there is none yet. Raises Invalid for rubbish."""
    path = folder / SECRET
    try:
        return msgspec.json.decode(path.read_bytes(), type=Secret)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise Invalid(f"{path} is not what it should be: {error}. Without it nothing in the store is found.") from None


def keep_secret(folder: Path, secret: Secret) -> None:
    """For good. Raises Conflict where there is one."""
    path = folder / SECRET
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(msgspec.json.encode(secret) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)  # never over one that is there
    except FileExistsError:
        raise Conflict(f"{path} was made by another process meanwhile.") from None
    finally:
        draft.unlink()
    _flush(path.parent)


def new_secret() -> Secret:
    return Secret(prefix=secrets.token_hex(16), suffix=secrets.token_hex(16))


def _secret(path: Path) -> Secret:
    found = read_secret(path.parent)
    if found is None:
        LOG.info("the store begins: its secret is made")
        found = new_secret()
        keep_secret(path.parent, found)
    return found


def _make_rings(
    folder: Path, settings: ObjectStore, devices: Sequence[ObjectDevice], policies: Sequence[StoragePolicy]
) -> None:
    everywhere = settings.replicas_of(len(devices))
    for name in ("account", "container"):
        _make_ring(folder, name, settings, everywhere, devices)
    for policy in policies:
        own = [each for each in devices if each.name in policy.devices] if policy.devices else devices
        if policy.places > len(own):
            continue  # devices of other hosts have to be in it, too
        replicas = policy.places or settings.replicas_of(len(own), policy.replicas)
        _make_ring(folder, ring_name(policy.number), settings, min(replicas, len(own)), own)


def _make_ring(folder: Path, name: str, settings: ObjectStore, replicas: int, devices: Sequence[ObjectDevice]) -> None:
    path = folder / f"{name}.ring.gz"
    if path.exists():
        return
    # Loaded at the first start alone: numpy costs memory.
    from cumulet.services.object_store.ring import builders
    from cumulet.services.object_store.ring.builder import Builder

    plan = folder / f"{name}.builder"
    if plan.exists():
        builder = builders.read(plan)
    else:
        builder = Builder(settings.part_power, replicas, MIN_PART_HOURS)
        for number, each in enumerate(devices):
            place = Device(
                id=number,
                zone=each.zone,
                ip=settings.address,
                port=settings.port,
                device=each.name,
                weight=each.weight,
            )
            builder.add(place)
    if not builder.table.size:
        builder.rebalance(time.time(), seed=0)
        builders.write(plan, builder)
    ring_files.write(path, builders.finished(builder))
    LOG.info("the ring %s is made: %d replicas on %d devices", name, replicas, len(devices))


def _make_device(made: Path, device: ObjectDevice) -> None:
    if made.exists():
        return
    try:
        device_files.make(device.folder, device.name)
    except (DeviceGone, OSError) as error:
        LOG.error("device %s cannot be made: %s", device.name, error)
        return
    made.touch()
    _flush(made.parent)


def _flush(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
