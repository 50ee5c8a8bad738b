# SPDX-License-Identifier: Apache-2.0
"""Runs one of Swift's servers by its own Python, with the `swift.conf` in $SWIFT_CONF_DIR in place of /etc/swift's."""

import os
import runpy
import sys

from swift.common import utils


def main() -> None:
    utils.SWIFT_CONF_FILE = os.path.join(os.environ["SWIFT_CONF_DIR"], "swift.conf")  # noqa: PTH118 - as it is there
    from swift.common import constraints, storage_policy

    constraints.reload_constraints()
    storage_policy.reload_storage_policies()
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
