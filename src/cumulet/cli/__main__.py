# SPDX-License-Identifier: Apache-2.0
"""`python -m cumulet.cli`: the same as the command `cumulet`, for those who start its parts."""

from __future__ import annotations

import sys

from cumulet.cli import main

if __name__ == "__main__":
    sys.exit(main())
