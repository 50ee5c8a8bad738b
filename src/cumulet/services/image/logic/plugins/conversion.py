# SPDX-License-Identifier: Apache-2.0
"""The plug-in `image_conversion`: disk formats made into the operator's own by qemu-img, once they were looked into."""

from __future__ import annotations

from pathlib import Path

import msgspec

from cumulet.kernel import run
from cumulet.kernel.diskimage import candidates, of_file
from cumulet.kernel.errors import Invalid
from cumulet.services.image.contract import Outcome, Work
from cumulet.services.image.logic import inspect

TIME = 6 * 3600.0  # seconds that the largest image may take
CONTAINER = "bare"
ISO, RAW = "iso", "raw"
PARTITIONED = "gpt"  # a raw disk with a partition table
# What qemu-img calls a disk format.
_NAMES = {
    "vhd": "vpc",
    "raw": "raw",
    "qcow2": "qcow2",
    "vmdk": "vmdk",
    "vdi": "vdi",
    "vhdx": "vhdx",
    "ploop": "parallels",
}


def convert(work: Work) -> Outcome:
    """Data in the format of the setting; Invalid for data that are not what was declared, or that are not safe."""
    wanted = work.settings.image_import.output_format
    source = work.disk_format
    if source not in _NAMES and source != ISO:
        raise Invalid(f"Images of the format {source} cannot be converted.")
    _look(work, work.data, source)
    if source in (ISO, wanted):
        return Outcome()
    work.target.unlink(missing_ok=True)
    command = ["qemu-img", "convert", "-f", _NAMES[source], "-O", wanted, work.data, work.target]
    try:
        run.run(command, timeout=TIME)
    except run.CommandFailed as error:
        raise Invalid(f"The image cannot be converted: {error.output.splitlines()[-1:] or error.code}") from error
    _look(work, work.target, wanted)
    return Outcome(replaced=True, disk_format=wanted, container_format=CONTAINER)


def _look(work: Work, path: Path, declared: str) -> None:
    """Invalid where the file is not of the declared format, or not safe to open.

    A format hidden within a raw one comes to light after the conversion: the result is looked into as well.
    """
    rules = msgspec.structs.replace(inspect.rules(work.settings), require_format_match=True)
    read, size = of_file(path)
    found = {each.format for each in candidates(read, size, declared, rules.vmdk_allowed_types)}
    # Elsewhere what is declared raw may look like anything; here it would be opened as what it looks like.
    if found - {PARTITIONED} != {declared} and not (declared == RAW and found == {PARTITIONED}):
        raise Invalid(f"Image disk_format {declared} does not match stream data {', '.join(sorted(found))}")
    inspect.check(read, size, declared, CONTAINER, rules)
