# SPDX-License-Identifier: Apache-2.0
"""What a hypervisor must keep an attached volume to, of the QoS specs of the volume's type, or of its back end."""

from __future__ import annotations

import logging

from cumulet.kernel.db import Source
from cumulet.kernel.errors import Conflict
from cumulet.services.block_storage.store import backends
from cumulet.services.block_storage.store import qos_specs as store
from cumulet.services.block_storage.types import Volume
from cumulet.services.block_storage.types.qos_specs import QosSpecs

LOG = logging.getLogger(__name__)

FRONT_END = frozenset({"front-end", "both"})
_RATES = tuple(f"{way}_{unit}_sec" for unit in ("bytes", "iops") for way in ("total", "read", "write"))
_NAMES = frozenset({f"{rate}{suffix}" for rate in _RATES for suffix in ("", "_max", "_max_length")} | {"size_iops_sec"})
_MOST = 10**15  # of any rate, the hypervisor's own bound


def of_volume(source: Source, volume: Volume) -> dict[str, int]:
    """The limits by name, as libvirt has them (`total_bytes_sec`, `read_iops_sec_max`); empty where there are none.

    Conflict (`InvalidQoSSpecs`) for specs that cannot be kept: a disk without a limit that was asked for is worse than
    no disk.
    """
    specs = store.of_type(source, volume.volume_type_id)
    if specs is None:
        return _of_backend(source, volume)
    return {} if specs.consumer not in FRONT_END else _checked(specs, volume.size)


def grown(source: Source, volume: Volume, size: int) -> dict[str, int] | None:
    """The limits that the volume has to have with `size` GiB; None where its size does not matter."""
    specs = store.of_type(source, volume.volume_type_id)
    if specs is None or specs.consumer not in FRONT_END:
        return None
    try:
        before, after = _checked(specs, volume.size), _checked(specs, size)
    except Conflict as error:
        LOG.warning("volume %s keeps the limits that it has: %s", volume.id, error.message)
        return None
    return None if before == after else after


def same(source: Source, one_type_id: str, other_type_id: str) -> bool:
    """Whether a hypervisor has nothing to do with a volume's going from the one type to the other."""
    one, other = (store.of_type(source, each) for each in (one_type_id, other_type_id))
    if one is not None and other is not None and one.id == other.id:
        return True
    return all(each is None or each.consumer not in FRONT_END for each in (one, other))


def shown(source: Source, volume: Volume) -> dict[str, str | None] | None:
    """What Cinder writes into an attachment's connection: all specs of the front end, those per GiB reckoned up."""
    specs = store.of_type(source, volume.volume_type_id)
    if specs is None:
        return {name: str(value) for name, value in _of_backend(source, volume).items()} or None
    if specs.consumer not in FRONT_END:
        return None
    try:
        return {**_reckoned(specs, volume.size)}
    except ValueError:
        return dict(specs.specs)


def _of_backend(source: Source, volume: Volume) -> dict[str, int]:
    """The limits that its back end's settings have for volumes without specs."""
    found = backends.find(source, volume.host, volume.backend)
    return {} if found is None else dict(found.report.get("settings", {}).get("qos", {}))


def _checked(specs: QosSpecs, size: int) -> dict[str, int]:
    try:
        said = _reckoned(specs, size)
        found = {name: int(said[name] or "") for name in sorted(_NAMES & said.keys())}
    except ValueError as error:
        raise _impossible(specs, "a limit is not a whole number") from error
    if any(not 0 <= value <= _MOST for value in found.values()):
        raise _impossible(specs, f"a limit is not between 0 and {_MOST}")
    found = {name: value for name, value in found.items() if value}
    for unit in ("bytes", "iops"):
        for suffix in ("", "_max"):
            if f"total_{unit}_sec{suffix}" in found and found.keys() & {
                f"{way}_{unit}_sec{suffix}" for way in ("read", "write")
            }:
                raise _impossible(specs, f"{unit} are limited in total and by direction")
    for rate in _RATES:
        if f"{rate}_max" in found and found[f"{rate}_max"] < found.get(rate, _MOST):
            raise _impossible(specs, f"{rate}_max is less than {rate}, or {rate} is not there")
        if f"{rate}_max_length" in found and f"{rate}_max" not in found:
            raise _impossible(specs, f"{rate}_max_length is there without {rate}_max")
    if "size_iops_sec" in found and not any(rate in found for rate in _RATES if "iops" in rate):
        raise _impossible(specs, "size_iops_sec is there without a limit of iops")
    return found


def _reckoned(specs: QosSpecs, size: int) -> dict[str, str | None]:
    """With the limits that grow with the volume, of `size` GiB, as they are for it; ValueError where one is no number.

    The least (`_per_gb_min`) and the most (`_max`) that such a limit may be are not limits of their own then.
    """
    said = dict(specs.specs)
    for rate in _RATES:
        each = said.pop(f"{rate}_per_gb", None)
        if each is None:
            continue
        value = max(int(said.pop(f"{rate}_per_gb_min", None) or 0), int(each) * size)
        said[rate] = str(min(value, int(said.pop(f"{rate}_max", None) or value)))
    return said


def _impossible(specs: QosSpecs, why: str) -> Conflict:
    return Conflict(f"The QoS specs {specs.id} cannot be kept: {why}.", code="InvalidQoSSpecs")
