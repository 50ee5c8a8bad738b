# SPDX-License-Identifier: Apache-2.0
"""`cumulet ring`: where the object store's replicas are. It works on files, whether there is a cloud or not."""

from __future__ import annotations

import argparse
import sys

from cumulet.cli import Call, service_command


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    service_command.arguments("object_store", parser)


def run(call: Call) -> int:
    """Do the one action; exit status 1 where it was refused, or where the ring is not as it should be."""
    from cumulet.kernel import lock
    from cumulet.kernel.errors import CumuletError
    from cumulet.services.object_store import cli

    try:
        lines, status = cli.run(call.arguments, call.settings)
    except (CumuletError, lock.Held, OSError) as error:
        print(f"cumulet: {error}", file=sys.stderr)
        return 1
    print("\n".join(lines), end="\n" if lines else "")
    return status
