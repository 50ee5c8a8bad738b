# SPDX-License-Identifier: Apache-2.0
"""What can be done with projects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import ids
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Conflict, CumuletError, Forbidden, Invalid, NotFound
from cumulet.services.identity.logic import changes, effective, revocations, trust_ends
from cumulet.services.identity.logic.news import Teller
from cumulet.services.identity.store import assignments, credentials, limits, users
from cumulet.services.identity.store import projects as store
from cumulet.services.identity.store.filters import Filter
from cumulet.services.identity.types import Project, Target

FIELDS = ("name", "domain_id", "parent_id", "description", "enabled", "is_domain", "tags")
DEPTH = 5  # projects below one another, as Keystone allows by default
STRICT_DEPTH = 2  # where limits are held in two levels
TAGS = 80  # of one project


def get(source: Source, project_id: str) -> Project:
    """A project or a domain."""
    found = store.find(source, project_id)
    if found is None:
        raise NotFound(f"Could not find project: {project_id}.", code="ProjectNotFound")
    return found


def get_domain(source: Source, domain_id: str) -> Project:
    """A project that is a domain."""
    found = store.find(source, domain_id)
    if found is None or not found.is_domain:
        raise NotFound(f"Could not find domain: {domain_id}.", code="DomainNotFound")
    return found


def find_all(source: Source, filters: Iterable[Filter], tags: Mapping[str, list[str]]) -> list[Project]:
    """Projects by columns and by tags: `tags`, `tags-any`, `not-tags` and `not-tags-any`, each with its words."""
    found = store.find_all(source, filters)
    if not tags:
        return found
    have = store.tags(source, [project.id for project in found])
    return [project for project in found if _fits(set(have.get(project.id, ())), tags)]


def of_user(source: Source, user_id: str, group_ids: Iterable[str]) -> list[Project]:
    """The enabled projects on which a user has a role in effect."""
    held = assignments.of_user(source, user_id, group_ids)
    if not held:
        return []
    direct = {one.target_id for one in held if one.target == Target.PROJECT and not one.inherited}
    above = {(one.target, one.target_id) for one in held if one.inherited}
    every = store.find_all(source, [Filter("is_domain", False)]) if above else store.find_these(source, direct)
    return [
        project for project in every if project.enabled and (project.id in direct or _inherits(source, project, above))
    ]


def tags_of(source: Source, projects: Iterable[Project]) -> dict[str, list[str]]:
    return store.tags(source, [project.id for project in projects])


def create(cloud: Cloud, ctx: Context, words: Mapping[str, Any]) -> Project:
    """Store a new project below a domain or another project; a domain where `is_domain` is true."""
    is_domain = bool(words.get("is_domain"))
    domain_id = None if is_domain else changes.home(ctx, words)
    new = Project(
        id=ids.new_hex(),
        name=words["name"].strip(),
        domain_id=domain_id,
        parent_id=words.get("parent_id") or domain_id,
        description=words.get("description") or "",
        enabled=words.get("enabled", True) is not False,
        is_domain=is_domain,
        options=changes.merge_options({}, words),
        extra=changes.extras(words, FIELDS),
    )
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        add(tx, new, words.get("tags", ()), _depth(cloud))
        news.tell(tx, "domain" if is_domain else "project", "created", new.id)

    cloud.db.write(write)
    return new


def add(tx: Tx, new: Project, tags: Iterable[str] = (), depth: int = DEPTH) -> None:
    """Store a project or domain after the checks of its place and name; at most `depth` projects stand in a line."""
    if new.is_domain and new.parent_id:
        raise Invalid("only root projects are allowed to act as domains.")
    if not new.is_domain:
        _check_place(tx, new, depth)
    if store.find_by_name(tx, new.name, new.domain_id) is not None:
        raise _name_taken(new)
    store.add(tx, new)
    store.set_tags(tx, new.id, (name.strip() for name in tags))


def update(cloud: Cloud, project_id: str, words: Mapping[str, Any]) -> Project:
    """Change what may change of a project or domain."""
    news = Teller(cloud)

    def write(tx: Tx) -> Project:
        old = get(tx, project_id)
        _check_change(tx, old, words)
        values = {name: words[name] for name in ("name", "description", "enabled") if words.get(name) is not None}
        if "name" in values and values["name"] != old.name:
            values["name"] = values["name"].strip()
            if store.find_by_name(tx, values["name"], old.domain_id) is not None:
                raise _name_taken(Project(old.id, values["name"], *_rest(old)))
        values["options"] = changes.merge_options(old.options, words)
        values["extra"] = {**old.extra, **changes.extras(words, FIELDS)}
        store.change(tx, project_id, values)
        if "tags" in words:
            store.set_tags(tx, project_id, (name.strip() for name in words["tags"]))
        _tell_updated(tx, news, old)
        if old.enabled and values.get("enabled") is False:
            _void(tx, old)
        revocations.changed(tx)
        return get(tx, project_id)

    return cloud.db.write(write)


def delete(cloud: Cloud, project_id: str) -> None:
    """Remove a project that has none below it, with all that stands for it here; a domain goes by `domains.delete`."""
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        check_deletable(tx, get(tx, project_id))
        remove(tx, project_id)
        news.tell(tx, "project", "deleted", project_id)

    cloud.db.write(write)


def check_deletable(tx: Tx, project: Project) -> None:
    """Forbidden for a project that is immutable, has others below it, or is a domain and enabled."""
    changes.check_deletable("project", project.id, project.options)
    if project.is_domain and project.enabled:
        raise Forbidden("Cannot delete a domain that is enabled, please disable it first.")
    if store.children(tx, project.id):
        raise Forbidden(
            f"Cannot delete the project {project.id} since it is not a leaf in the hierarchy. "
            "Use the cascade option if you want to delete a whole subtree."
        )


def remove(tx: Tx, project_id: str) -> None:
    """Remove a project's row and what hangs on it."""
    for target in (Target.PROJECT, Target.DOMAIN):
        assignments.remove_all(tx, target=target, target_id=project_id)
    credentials.remove_of_project(tx, project_id)
    trust_ends.bury_of_project(tx, project_id)
    limits.remove_of_project(tx, project_id)
    users.forget_default_project(tx, project_id)
    store.remove(tx, project_id)
    revocations.revoke(tx, project_id=project_id)


def set_tags(
    cloud: Cloud, project_id: str, names: Iterable[str], verb: str = "update", one: str | None = None
) -> list[str]:
    """Make these the project's tags; `one` is the tag that is put to them or taken away, where it is one alone."""
    wanted = [name.strip() for name in names]
    news = Teller(cloud)

    def write(tx: Tx) -> None:
        old = get(tx, project_id)
        if old.options.get(changes.IMMUTABLE):
            raise Forbidden(
                f"Cannot {verb} project tags for {project_id}, project is immutable. "
                'Set "immutable" option to false before creating project tags.'
            )
        store.set_tags(tx, project_id, wanted)
        _tell_updated(tx, news, old)
        if one is not None:
            news.tell(tx, "project tag", "created" if verb == "create" else "deleted", one.strip())

    cloud.db.write(write)
    return wanted


def parents(source: Source, project: Project) -> list[Project]:
    """What stands above a project, the nearest first."""
    return effective.ancestors(source, project)


def subtree(source: Source, project_id: str) -> list[Project]:
    """All projects below one, each after its parent."""
    found: list[Project] = []
    waiting = [project_id]
    while waiting:
        children = store.children(source, waiting.pop(0))
        found.extend(children)
        waiting.extend(child.id for child in children)
    return found


def _tell_updated(tx: Tx, news: Teller, project: Project) -> None:
    """Tell of a changed project, and of the domain that it is."""
    news.tell(tx, "project", "updated", project.id)
    if project.is_domain:
        news.tell(tx, "domain", "updated", project.id)


def _check_place(tx: Tx, new: Project, depth: int) -> None:
    """A new project's domain and parent must be there, belong together and be enabled, and the tree not too deep."""
    domain = _place(tx, new.domain_id, "domain")
    parent = _place(tx, new.parent_id, "project")
    if not domain.is_domain:
        raise Invalid(f"Could not find domain: {domain.id}.")
    if parent.is_domain and parent.id != domain.id:
        raise Invalid(
            f"Cannot create project, the parent ({parent.id}) is acting as a domain, but this project's domain id "
            f"({domain.id}) does not match the parent's id."
        )
    if not parent.is_domain and parent.domain_id != domain.id:
        raise Invalid(
            f"Cannot create project, since it specifies its domain_id {domain.id}, but specifies a parent in a "
            f"different domain ({parent.domain_id})."
        )
    line = [parent, *effective.ancestors(tx, parent)]
    for one in reversed(line):
        if not one.enabled:
            raise Invalid(f"cannot create a project in a branch containing a disabled project: {one.id}")
    if len(line) > depth:
        raise Forbidden(f"Max hierarchy depth reached for {parent.id} branch.")


def _depth(cloud: Cloud) -> int:
    settings = cloud.settings.identity
    strict = settings.limit_model == "strict_two_level"
    return min(settings.max_project_tree_depth, STRICT_DEPTH) if strict else settings.max_project_tree_depth


def _place(tx: Tx, project_id: str | None, kind: str) -> Project:
    found = store.find(tx, project_id) if project_id else None
    if found is None:
        raise Invalid(f"Could not find {kind}: {project_id}.")
    return found


def _check_change(tx: Tx, old: Project, words: Mapping[str, Any]) -> None:
    kind = "domain" if old.is_domain else "project"
    changes.check_same(words, "id", old.id, "Cannot change ID")
    changes.check_same(words, "domain_id", old.domain_id, "Cannot change Domain ID")
    changes.check_changeable(kind, old.id, old.options, words)
    if words.get("parent_id", old.parent_id) != old.parent_id:
        raise Forbidden("Update of `parent_id` is not allowed.")
    changes.check_same(words, "is_domain", old.is_domain, "Update of `is_domain` is not allowed.")
    enabled = words.get("enabled", old.enabled)
    if enabled and not old.enabled and not all(one.enabled for one in effective.ancestors(tx, old)):
        raise Forbidden(f"Cannot enable project {old.id} since it has disabled parents")
    closing = old.enabled and enabled is False and not old.is_domain
    if closing and any(one.enabled for one in subtree(tx, old.id)):
        raise Forbidden(f"Cannot disable project {old.id} since its subtree contains enabled projects.")


def _void(tx: Tx, old: Project) -> None:
    """Make void the tokens of a project or domain that is being disabled, so that enabling it revives none."""
    if old.is_domain:
        revocations.revoke(tx, domain_id=old.id)
    else:
        revocations.revoke(tx, project_id=old.id)


def _inherits(source: Source, project: Project, above: set[tuple[str, str]]) -> bool:
    if (Target.DOMAIN, project.domain_id) in above:
        return True
    return any((Target.PROJECT, one.id) in above for one in effective.ancestors(source, project))


def _fits(have: set[str], tags: Mapping[str, list[str]]) -> bool:
    return (
        have.issuperset(tags.get("tags", ()))
        and ("tags-any" not in tags or not have.isdisjoint(tags["tags-any"]))
        and ("not-tags" not in tags or not have.issuperset(tags["not-tags"]))
        and have.isdisjoint(tags.get("not-tags-any", ()))
    )


def _name_taken(new: Project) -> CumuletError:
    if new.is_domain:
        reason = f"it is not permitted to have two projects acting as domains with the same name: {new.name}"
    else:
        reason = (
            "it is not permitted to have two projects with either the same name or same id in the same domain: "
            f"name is {new.name}, project id {new.id}"
        )
    return Conflict(f"Conflict occurred attempting to store project - {reason}.")


def _rest(project: Project) -> tuple[Any, ...]:
    return tuple(getattr(project, name) for name in project.__struct_fields__[2:])
