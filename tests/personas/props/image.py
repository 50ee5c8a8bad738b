# SPDX-License-Identifier: Apache-2.0
"""What the paths of image name."""

from __future__ import annotations

from personas.stage import Prop, Stage

BYTES = "application/octet-stream"


def image(stage: Stage) -> Prop:
    """A private image of the victim's project."""
    words = {"name": "picture", "disk_format": "raw", "container_format": "bare", "tags": ["tag"]}
    found = stage.make("image", "/images", words)
    stage.make("image", f"/images/{found['id']}/file", None, "member", "PUT", content=b"a picture", media=BYTES)
    return {"image_id": found["id"], "value": "tag", **seen(stage, "private")}


def unfilled_image(stage: Stage) -> Prop:
    """A private image of the victim's project that waits for its data."""
    key = stage.make("image", "/images", {"name": "frame", "visibility": "private"})["id"]
    return {"store_id": "local", "image_id": key, **seen(stage, "private")}


def any_image(stage: Stage) -> Prop:
    """An image whose id alone is asked for."""
    return {"image_id": image(stage)["image_id"]}


def shared_image(stage: Stage) -> Prop:
    """An image that the victim's project shares with the other one."""
    words = {"name": "shared", "disk_format": "raw", "container_format": "bare", "visibility": "shared"}
    key = stage.make("image", "/images", words)["id"]
    member = stage.cast.other_project_id
    stage.make("image", f"/images/{key}/members", {"member": member})
    prop = seen(stage, "shared", member)
    return {"image_id": key, "member_id": member, **prop}


def seen(stage: Stage, visibility: str, *members: str) -> Prop:
    project = stage.cast.project_id
    target = {"project_id": project, "owner": project, "visibility": visibility, "member_id": [*members, None][0]}
    return {"target": target, "hidden_but_from": (project, *members)}


def task(stage: Stage) -> Prop:
    words = {"name": "pulled", "disk_format": "raw", "container_format": "bare"}
    key = stage.make("image", "/images", words)["id"]
    stage.make("image", f"/images/{key}/stage", None, "member", "PUT", content=b"a picture", media=BYTES)
    stage.make("image", f"/images/{key}/import", {"method": {"name": "glance-direct"}})
    found = stage.make("image", f"/images/{key}/tasks", None, method="GET")["tasks"]
    return {"task_id": found[0]["id"]}


def namespace(stage: Stage) -> Prop:
    """A private one of the victim's project, with one of everything in it."""
    name, kind = f"Namespace::{stage.suffix}", f"OS::{stage.suffix}"
    words = {
        "namespace": name,
        "owner": stage.cast.project_id,
        "objects": [{"name": "thing"}],
        "properties": {"word": {"title": "Word", "type": "string"}},
        "tags": [{"name": "tag"}],
        "resource_type_associations": [{"name": kind}],
    }
    stage.make("image", "/metadefs/namespaces", words, "admin")
    inside = {"object_name": "thing", "property_name": "word", "tag_name": "tag", "resource_type": kind}
    return {"namespace": name, **inside, **seen(stage, "private")}


MAKERS = {
    "/images/{image_id}": image,
    "GET /images/{image_id}/members/{member_id}": shared_image,
    "PUT /images/{image_id}/members/{member_id}": shared_image,
    "DELETE /images/{image_id}/members/{member_id}": shared_image,
    "/stores/{store_id}": unfilled_image,
    "/cache/{image_id}": image,
    "/cache/nodes/{image_id}": any_image,
    "/tasks/{task_id}": task,
    "/metadefs/namespaces/{namespace}": namespace,
}
