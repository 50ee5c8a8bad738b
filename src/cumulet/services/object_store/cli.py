# SPDX-License-Identifier: Apache-2.0
"""`cumulet ring`: rings are made and changed in builders' files.

Beside `NAME.builder` lies the ring that was made of it, `NAME.ring.gz`.
"""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from cumulet.kernel.errors import Conflict, Invalid, NotFound
from cumulet.services.object_store.ring import builders, files
from cumulet.services.object_store.ring.builder import Builder
from cumulet.services.object_store.ring.delivery import alone, deliver
from cumulet.services.object_store.ring.devices import Device

if TYPE_CHECKING:
    from cumulet.settings import Settings

_HOST = re.compile(r"(?P<ip>\[[0-9a-fA-F:.]+\]|[0-9.]+):(?P<port>[0-9]{1,5})")

# Swift's own notation: r1z2-10.0.0.1:6200R10.1.0.1:6201/sda_meta data
_PLACE = re.compile(
    r"(?:r(?P<region>[0-9]+))?z(?P<zone>[0-9]+)-(?P<ip>\[[0-9a-fA-F:.]+\]|[^:/\[\]]+):(?P<port>[0-9]+)"
    r"(?:R(?P<replication_ip>\[[0-9a-fA-F:.]+\]|[^:/\[\]]+):(?P<replication_port>[0-9]+))?/(?P<device>[^_/]+)(?:_(?P<meta>.*))?"
)


def arguments(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The actions and their arguments."""
    create = _action(actions, "create", "begin a ring without devices")
    create.add_argument("part_power", type=int, help="the ring gets 2**N partitions, for good")
    create.add_argument("replicas", type=float, help="of each partition; 2.5 are 2 of one half and 3 of the other")
    create.add_argument("min_part_hours", type=int, help="for so long a partition that moved stays where it is")
    add = _action(actions, "add", "add devices")
    add.add_argument("place", nargs="+", help="r1z1-10.0.0.1:6200/sda and its weight, and so on")
    remove = _action(actions, "remove", "take devices out; their partitions leave them with the next rebalance")
    remove.add_argument("device", type=int, nargs="+", help="ids of devices")
    weight = _action(actions, "set-weight", "give a device another share of the partitions")
    weight.add_argument("device", type=int)
    weight.add_argument("weight", type=float)
    replicas = _action(actions, "set-replicas", "keep another number of replicas")
    replicas.add_argument("replicas", type=float)
    hours = _action(actions, "set-min-part-hours", "let a partition that moved stay for so long")
    hours.add_argument("hours", type=int, help="0 lets all move again")
    overload = _action(actions, "set-overload", "fill devices beyond their shares: by 0.1, a tenth, say")
    overload.add_argument("overload", type=float)
    rebalance = _action(actions, "rebalance", "bring the partitions to where they should be, and write the ring")
    rebalance.add_argument("--seed", type=int, help="for the same ring from the same builder")
    _action(actions, "show", "show the ring and its devices")
    _action(actions, "verify", "examine the ring; exit status 1 where replicas are too close together or out of place")
    written = _action(actions, "write-ring", "write the ring again")
    written.add_argument("--format", type=int, choices=(1, 2), default=1, help="Swift's format (default: 1)")
    moved = _action(actions, "set-address", "call a server's devices by another address; nothing moves")
    moved.add_argument("old", help="10.0.0.1:6200, say: all devices there")
    moved.add_argument("new", help="where they are from now on")
    spread = _action(actions, "distribute", "bring the ring to the hosts that it names, which may have no later one")
    spread.add_argument(
        "place", nargs="*", help="another host, ADDRESS:PORT; or a folder or a file, in the place of the hosts"
    )
    taken = _action(actions, "take", "make a builder out of a ring, Swift's or ours")
    taken.add_argument("ring", type=Path)
    taken.add_argument("--min-part-hours", type=int, default=1)


def run(words: argparse.Namespace, settings: Settings) -> tuple[list[str], int]:
    """Do the one action: what there is to say of it, and an exit status, 1 for a ring that is not as it should be.

    1, too, where a host did not get it. Raises the kernel's errors and lock.Held.
    """
    path: Path = words.builder
    if words.action in _SHOWN:
        return _SHOWN[words.action](builders.read(path), path)
    if words.action == "distribute":
        return _distribute(path, words.place, settings)
    with alone(path):
        if words.action in ("create", "take"):
            if path.exists():
                raise Conflict(f"{path} is there already.")
            builders.write(path, _begun(words))
            return [], 0
        builder = builders.read(path)
        if words.action == "write-ring":
            return _write(path, builder, words.format), 0
        said = _CHANGES[words.action](builder, words) or []
        builders.write(path, builder)
        if words.action == "rebalance" or (words.action == "set-address" and builder.table.size):
            said += _write(path, builder, None)
        return said, 0


def device(place: str, weight: float, device_id: int) -> Device:
    """The device that Swift's notation means. Invalid where it means none."""
    found = _PLACE.fullmatch(place)
    if found is None or not place.isprintable():
        raise Invalid(f"{place!r} is no place such as r1z1-10.0.0.1:6200/sda.")
    words = {name: value.strip("[]") for name, value in found.groupdict().items() if value is not None}
    try:
        return msgspec.convert({**words, "id": device_id, "weight": weight}, Device, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(f"{place} is no place: {error}.") from error


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser], name: str, words: str
) -> argparse.ArgumentParser:
    parser = actions.add_parser(name, help=words, description=words[0].upper() + words[1:] + ".")
    parser.add_argument("builder", type=Path, help="the builder's file")
    return parser


def _ring(path: Path) -> Path:
    return path.with_name(path.name.removesuffix(".builder") + ".ring.gz")


def _begun(words: argparse.Namespace) -> Builder:
    if words.action == "take":
        return builders.begun(files.read(words.ring), words.min_part_hours)
    return Builder(words.part_power, words.replicas, words.min_part_hours)


def _write(path: Path, builder: Builder, version: files.Format | None) -> list[str]:
    ring = builders.finished(builder)
    files.write(_ring(path), ring, version or (1 if len(ring.devices) <= files.MOST_OF_FIRST else 2))
    return [f"{_ring(path)}: version {ring.version}"]


def _distribute(path: Path, places: Sequence[str], settings: Settings) -> tuple[list[str], int]:
    hosts = [found for each in places if (found := _host(each)) is not None]
    folders = [Path(each) for each in places if _host(each) is None]
    said, status = [], 0
    if folders:
        done = deliver(_ring(path), folders)
        said += [f"{place}: {'written' if new else 'the same already'}" for place, new in done]
    if hosts or not folders:
        # Loaded here alone: rings are worked on where there is no store, too.
        from cumulet.services.object_store.logic.distribution import Courier, shown

        source = _ring(path)
        content = source.read_bytes()
        courier = Courier(settings.objects_folder, settings.object_store, settings.host)
        name = source.name.removesuffix(".ring.gz")
        for each in courier.bring(name, content, files.parse(content, source), hosts):
            said.append(f"{shown(each.place)}: {each.words}")
            status |= not each.done
    return said, status


def _host(place: str) -> tuple[str, int] | None:
    """The address and port that are meant, None for a folder or a file."""
    found = _HOST.fullmatch(place)
    return None if found is None else (found["ip"].strip("[]"), int(found["port"]))


def _set_address(builder: Builder, words: argparse.Namespace) -> list[str]:
    old, new = _host(words.old), _host(words.new)
    if old is None or new is None:
        raise Invalid("An address is of the form 10.0.0.1:6200.")
    found = [each for each in builder.devices.values() if (each.ip, each.port) == old]
    if not found:
        raise NotFound(f"There are no devices at {words.old}.")
    taken = {each.device for each in builder.devices.values() if (each.ip, each.port) == new}
    if doubled := sorted(taken & {each.device for each in found}):
        raise Conflict(f"There are devices at {words.new} already that are called so: {', '.join(doubled)}.")
    for each in found:
        builder.change(msgspec.structs.replace(each, ip=new[0], port=new[1]))
    return [f"device {each.id}: {words.new}/{each.device}" for each in found]


def _add(builder: Builder, words: argparse.Namespace) -> list[str]:
    if len(words.place) % 2:
        raise Invalid("Each place is followed by a weight.")
    said = []
    for place, weight in zip(words.place[::2], words.place[1::2], strict=True):
        try:
            share = float(weight)
        except ValueError as error:
            raise Invalid(f"{weight} is no weight.") from error
        added = device(place, share, builder.next_id())
        builder.add(added)
        said.append(f"device {added.id}: {place} {share:g}")
    return said


def _remove(builder: Builder, words: argparse.Namespace) -> None:
    for each in words.device:
        builder.remove(each)


def _set_weight(builder: Builder, words: argparse.Namespace) -> None:
    builder.change(msgspec.structs.replace(builder.device(words.device), weight=words.weight))


def _rebalance(builder: Builder, words: argparse.Namespace) -> list[str]:
    now = time.time()
    outcome = builder.rebalance(now, words.seed)
    said = [f"{outcome.moved} replicas moved; {_quality(builder)}"]
    if builder.min_part_seconds_left(now):
        said.append(f"those that moved stay where they are for {builder.min_part_hours} hours")
    return said


def _quality(builder: Builder) -> str:
    return f"balance {builder.balance():.2f} %, dispersion {builder.dispersion():.2f} %"


def _show(builder: Builder, path: Path) -> tuple[list[str], int]:
    held = builder.held()
    words = f"{builder.replicas:g} replicas, overload {builder.overload:g}, {_quality(builder)}"
    said = [f"{path}: version {builder.version}, 2**{builder.part_power} partitions, {words}"]
    for each in sorted(builder.devices.values(), key=lambda one: one.path):
        place = f"r{each.region}z{each.zone}-{each.ip}:{each.port}/{each.device}"
        said.append(f"{each.id:6} {place:40} weight {each.weight:<10g} replicas {held.get(each.id, 0)}")
    return said, 0


def _verify(builder: Builder, path: Path) -> tuple[list[str], int]:
    found = []
    if builder.leaving:
        found.append("removed devices wait for a rebalance")
    held = builder.held()
    if waiting := sum(held.get(each.id, 0) for each in builder.devices.values() if not each.weight):
        found.append(f"{waiting} replicas are on devices without a weight: rebalance again when they may move")
    if not builder.table.size:
        found.append("it was never rebalanced")
    else:
        if builder.dispersion():
            found.append(f"{builder.dispersion():.2f} % of the replicas are too close to others of their partition")
        if not _ring(path).exists() or files.read(_ring(path)).rows != builders.finished(builder).rows:
            found.append(f"{_ring(path)} is not what the builder has: write it with write-ring")
    return found or ["the ring is as it should be"], 1 if found else 0


_SHOWN: dict[str, Callable[[Builder, Path], tuple[list[str], int]]] = {"show": _show, "verify": _verify}
_CHANGES: dict[str, Callable[[Builder, argparse.Namespace], list[str] | None]] = {
    "add": _add,
    "remove": _remove,
    "set-weight": _set_weight,
    "set-address": _set_address,
    "set-replicas": lambda builder, words: builder.set_replicas(words.replicas),
    "set-min-part-hours": lambda builder, words: builder.set_min_part_hours(words.hours),
    "set-overload": lambda builder, words: builder.set_overload(words.overload),
    "rebalance": _rebalance,
}
