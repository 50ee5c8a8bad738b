# SPDX-License-Identifier: Apache-2.0
"""The load driver is no part of the package: it is found beside it."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3]))
