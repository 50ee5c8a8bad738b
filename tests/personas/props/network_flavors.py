# SPDX-License-Identifier: Apache-2.0
"""What the paths of flavors name."""

from __future__ import annotations

from cumulet.services.network.logic import flavors as logic
from personas.stage import Maker, Prop, Stage


def _made(stage: Stage, path: str, kind: str, **words: object) -> str:
    return str(stage.make("network", path, {kind: words}, "admin")[kind]["id"])


def flavor(stage: Stage) -> Prop:
    key = _made(stage, "/flavors", "flavor", service_type="L3_ROUTER_NAT")
    return {"id": key, "flavor_id": key, "target": {}}


def profile(stage: Stage) -> Prop:
    return {"id": _made(stage, "/service_profiles", "service_profile", metainfo="x"), "target": {}}


def provided(stage: Stage) -> Prop:
    """A flavor that somebody provides."""
    found = flavor(stage)
    key = _made(stage, "/service_profiles", "service_profile", driver=logic.PROVIDERS[0].driver)
    stage.make("network", f"/flavors/{found['id']}/service_profiles", {"service_profile": {"id": key}}, "admin")
    return found


def attached(stage: Stage) -> Prop:
    """A profile that a flavor has; it belongs to no project."""
    flavor_id, profile_id = flavor(stage)["id"], profile(stage)["id"]
    path = f"/flavors/{flavor_id}/service_profiles"
    stage.make("network", path, {"service_profile": {"id": profile_id}}, "admin")
    return {"flavor_id": flavor_id, "id": profile_id, "target": {"project_id": "nobody", "tenant_id": "nobody"}}


MAKERS: dict[str, Maker] = {
    "/flavors/{id}": flavor,
    "/flavors/{flavor_id}": flavor,
    "GET /flavors/{flavor_id}/next_providers": provided,
    "/service_profiles/{id}": profile,
    "/flavors/{flavor_id}/service_profiles/{id}": attached,
}
