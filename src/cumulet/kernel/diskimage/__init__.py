# SPDX-License-Identifier: Apache-2.0
"""What the bytes of a disk image are, and whether they are safe to open; read from their headers alone."""

from cumulet.kernel.diskimage.base import BAD_DATA, LARGEST, Danger, Found, Reader
from cumulet.kernel.diskimage.detect import FORMATS, candidates, inspect, mismatch, of_file
from cumulet.kernel.diskimage.vmdk import ONE_FILE_TYPES

__all__ = [
    "BAD_DATA",
    "FORMATS",
    "LARGEST",
    "ONE_FILE_TYPES",
    "Danger",
    "Found",
    "Reader",
    "candidates",
    "inspect",
    "mismatch",
    "of_file",
]
