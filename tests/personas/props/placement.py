# SPDX-License-Identifier: Apache-2.0
"""What the paths of placement name."""

from __future__ import annotations

from cumulet.kernel import ids
from personas.stage import Prop, Stage


def provider(stage: Stage) -> Prop:
    found = stage.make("placement", "/resource_providers", {"name": f"provider-{stage.suffix}"}, "admin")
    words = {"resource_provider_generation": found["generation"], "inventories": {"VCPU": {"total": 8}}}
    stage.make("placement", f"/resource_providers/{found['uuid']}/inventories", words, "admin", "PUT")
    return {"uuid": found["uuid"], "resource_class": "VCPU"}


def trait(stage: Stage) -> Prop:
    name = f"CUSTOM_{stage.suffix.upper().replace('-', '_')}"
    stage.make("placement", f"/traits/{name}", None, "admin", "PUT")
    return {"name": name}


def resource_class(stage: Stage) -> Prop:
    name = f"CUSTOM_{stage.suffix.upper().replace('-', '_')}"
    stage.make("placement", f"/resource_classes/{name}", None, "admin", "PUT")
    return {"name": name}


def consumer(stage: Stage) -> Prop:
    """A consumer with an allocation."""
    held, key = provider(stage)["uuid"], ids.new_uuid()
    words = {
        "allocations": {held: {"resources": {"VCPU": 1}}},
        "project_id": stage.cast.project_id,
        "user_id": stage.cast.owner_id,
        "consumer_generation": None,
        "consumer_type": "INSTANCE",
    }
    stage.make("placement", f"/allocations/{key}", words, "admin", "PUT")
    return {"consumer_uuid": key}


MAKERS = {
    "/resource_providers/{uuid}": provider,
    "/traits/{name}": trait,
    "/resource_classes/{name}": resource_class,
    "/allocations/{consumer_uuid}": consumer,
}
