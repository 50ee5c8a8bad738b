# SPDX-License-Identifier: Apache-2.0
"""`cumulet identity`: what the identity service's keeper does now and then."""

from __future__ import annotations

import argparse

from cumulet.cli import Call, service_command


def arguments(parser: argparse.ArgumentParser) -> None:
    """The command's own arguments."""
    service_command.arguments("identity", parser)


def run(call: Call) -> int:
    """Do the one action on the cloud's database, whether the cloud runs or not."""
    return service_command.run("identity", call)
