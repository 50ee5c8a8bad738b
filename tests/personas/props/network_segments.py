# SPDX-License-Identifier: Apache-2.0
"""What the paths of network's segments and ranges of them name."""

from __future__ import annotations

import itertools

from personas.stage import Maker, Prop, Stage

_NUMBERS = itertools.count(9_000_001)


def segment_range(stage: Stage) -> Prop:
    """A range of one number, which no other has."""
    number = next(_NUMBERS)
    words = {"network_type": "vxlan", "minimum": number, "maximum": number, "shared": False}
    found = stage.make("network", "/network-segment-ranges", {"network_segment_range": words}, "admin")
    key = found["network_segment_range"]["id"]
    stage.make("network", f"/network-segment-ranges/{key}/tags/tag", None, "admin", "PUT")
    return {"id": key, "tag": "tag", "target": {}}


def segment(stage: Stage) -> Prop:
    """A segment, beside the first, of a network of the caller's."""
    wire = stage.make("network", "/networks", {"network": {}})["network"]["id"]
    words = {"network_id": wire, "network_type": "vxlan"}
    return {"id": stage.make("network", "/segments", {"segment": words}, "admin")["segment"]["id"], "target": {}}


MAKERS: dict[str, Maker] = {
    "/segments/{id}": segment,
    "/network-segment-ranges/{id}": segment_range,
    "/network_segment_ranges/{id}": segment_range,
}
