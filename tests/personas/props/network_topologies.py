# SPDX-License-Identifier: Apache-2.0
"""What the paths of auto-allocated topologies name."""

from __future__ import annotations

from personas.props.network import project
from personas.stage import Maker

MAKERS: dict[str, Maker] = {"/auto-allocated-topology/{project_id}": project}
