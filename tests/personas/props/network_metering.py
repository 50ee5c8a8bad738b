# SPDX-License-Identifier: Apache-2.0
"""What the paths of metering name."""

from __future__ import annotations

from personas.props.network import owned
from personas.stage import Maker, Prop, Stage


def label(stage: Stage) -> Prop:
    made = stage.make("network", "/metering/metering-labels", {"metering_label": {"name": "meter"}}, "manager")
    return owned(stage, made["metering_label"])


def rule(stage: Stage) -> Prop:
    words = {"metering_label_id": label(stage)["id"], "direction": "egress", "source_ip_prefix": "10.0.0.0/8"}
    made = stage.make("network", "/metering/metering-label-rules", {"metering_label_rule": words}, "manager")
    return owned(stage, made["metering_label_rule"])


MAKERS: dict[str, Maker] = {
    "meter": label,
    "/metering/metering-labels/{id}": label,
    "/metering/metering-label-rules/{id}": rule,
}
