# SPDX-License-Identifier: Apache-2.0
"""What the steps of an import share: the lock by which it holds its image, how it tells of itself, how it ends."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from cumulet.kernel import clock
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.context import Context
from cumulet.kernel.db import Source, Tx
from cumulet.kernel.errors import Gone, NotReady
from cumulet.kernel.saga import Commit, Run
from cumulet.services.image import events
from cumulet.services.image.logic import access, staging, tasks
from cumulet.services.image.logic import images as image_verbs
from cumulet.services.image.store import images
from cumulet.services.image.types import FAILED_TO, IMPORT_LOCK, IMPORTING_TO, ImageStatus, Record

FLOW = "image.import"
MIB = 1 << 20
LOOK = 5.0  # seconds between two looks whether the import still holds its image
TELL = 60.0  # seconds between two words on how far it is; Glance's


class Terms:
    """What an import was asked for, as its saga keeps it."""

    def __init__(self, run: Run) -> None:
        args = run.args
        self.image_id = run.subject
        self.task_id: str = args["task_id"]
        self.method: Mapping[str, Any] = args["method"]
        self.stores: list[str] = list(args["stores"])
        self.all_must_succeed: bool = args["all_stores_must_succeed"]
        self.is_new: bool = args["new_image"]
        self.roles: frozenset[str] = frozenset(args["roles"])
        self.user_id: str = args["user_id"]
        self.project_id: str | None = args["project_id"]

    @property
    def ctx(self) -> Context:
        """The user, as far as the import goes on in the user's name."""
        return Context(user_id=self.user_id, project_id=self.project_id, roles=self.roles)

    @property
    def is_copy(self) -> bool:
        """Whether the image has its data, and is only to be in more stores."""
        return bool(self.method["name"] == "copy-image")


class Progress:
    """Tells how far an import is.

    Raises Gone where the import does not hold its image any more, NotReady where this process ends.
    """

    def __init__(self, run: Run, verb: str) -> None:
        self._cloud = run.cloud
        self._terms = Terms(run)
        self._verb = verb
        self._looked = self._told = time.monotonic()

    def __call__(self, done: int) -> None:
        """So many bytes are done."""
        if self._cloud.sagas.stopping:
            raise NotReady("This process ends; the import goes on elsewhere.")
        now = time.monotonic()
        if now - self._looked >= LOOK:
            self._looked = now
            held(self._cloud.db, self._terms)
        if now - self._told >= TELL:
            self._told = now
            words = f"{self._verb} {done // MIB} MiB"
            self._cloud.db.write(lambda tx: tasks.tell(tx, self._terms.task_id, words), loose=True)


def token_name(task_id: str) -> str:
    """Under which name the vault keeps the token that an import works with."""
    return f"image.import.{task_id}"


def holds(source: Source, terms: Terms) -> Record | None:
    """The image, where this import still holds it."""
    image = images.find(source, terms.image_id)
    found = None if image is None else access.record(source, image)
    return found if found is not None and found.properties.get(IMPORT_LOCK) == terms.task_id else None


def held(source: Source, terms: Terms) -> Record:
    """The image that this import holds; Gone where it went away, or another import has taken it."""
    found = holds(source, terms)
    if found is None:
        raise Gone(f"Image {terms.image_id} is gone, or another import works on it.")
    return found


def change_words(run: Run, fields: Mapping[str, str | None], properties: Mapping[str, str]) -> Commit:
    """Change the held image's formats and words, once the step commits; the saga remembers what they were."""
    terms = Terms(run)
    before = held(run.cloud.db, terms)
    changes = {name: value for name, value in fields.items() if value is not None}
    kept = run.state.setdefault("before", {"fields": {}, "properties": {}})
    for name in changes:
        kept["fields"].setdefault(name, getattr(before.image, name))
    for name in properties:
        kept["properties"].setdefault(name, before.properties.get(name))

    def commit(tx: Tx) -> None:
        held(tx, terms)
        images.change(tx, terms.image_id, {**changes, "updated_at": clock.utcnow()})
        images.set_properties(tx, terms.image_id, properties)

    return commit


def list_stores(tx: Tx, record: Record, *, done: Iterable[str] = (), failed: Iterable[str] = ()) -> None:
    """Take stores off those that are yet to be filled, and add those that could not be to the others."""
    done, failed = set(done), set(failed)
    waiting = _names(record.properties.get(IMPORTING_TO)) - done - failed
    beaten = (_names(record.properties.get(FAILED_TO)) - done) | failed
    words = {IMPORTING_TO: ",".join(sorted(waiting)), FAILED_TO: ",".join(sorted(beaten))}
    images.set_properties(tx, record.image.id, words)


def succeeded(cloud: Cloud, tx: Tx, terms: Terms) -> None:
    """The import is done: nobody holds the image any more."""
    images.set_properties(tx, terms.image_id, {IMPORT_LOCK: None})
    image = images.find(tx, terms.image_id)
    if not terms.is_new and image is not None and image.size is not None:
        tasks.tell(tx, terms.task_id, f"Copied {image.size // MIB} MiB")  # the last that Glance tells of an import
    tasks.end(cloud, tx, terms.task_id, terms.image_id)
    cloud.vault.remove(token_name(terms.task_id), tx)
    tx.after_commit(lambda: staging.discard(cloud, terms.image_id))


def clear(run: Run) -> None:
    """Remove what was staged, unless another import has the image now."""
    terms = Terms(run)
    if holds(run.cloud.db, terms) is not None or images.find(run.cloud.db, terms.image_id) is None:
        staging.discard(run.cloud, terms.image_id)


def failed(run: Run, tx: Tx) -> None:
    """The import has come to nothing: the image is as it was before it, and queued where it has no data."""
    terms, cloud = Terms(run), run.cloud
    record = holds(tx, terms)
    problem = run.error or "The import failed."
    if record is None:
        problem = "The image is gone." if images.find(tx, terms.image_id) is None else problem
    elif terms.is_new:
        image_verbs.remove(cloud, tx, record.image, run.request_id)
    else:
        _give_back(run, tx, record)
    tasks.end(cloud, tx, terms.task_id, terms.image_id, problem)
    cloud.vault.remove(token_name(terms.task_id), tx)


def _give_back(run: Run, tx: Tx, record: Record) -> None:
    terms = Terms(run)
    beaten = run.state.get("failed", terms.stores)
    list_stores(tx, record, done=set(terms.stores) - set(beaten), failed=beaten)
    images.set_properties(tx, terms.image_id, {IMPORT_LOCK: None})
    before = run.state.get("before")
    if before is not None and record.image.status == ImageStatus.IMPORTING:
        images.change(tx, terms.image_id, {**before["fields"], "updated_at": clock.utcnow()})
        images.set_properties(tx, terms.image_id, before["properties"])
    queued = {"status": ImageStatus.QUEUED, "size": None, "virtual_size": None, "updated_at": clock.utcnow()}
    images.change(tx, terms.image_id, queued, status=ImageStatus.IMPORTING)
    after = images.find(tx, terms.image_id)
    assert after is not None
    run.cloud.outbox.publish(tx, events.UPDATE, events.image(access.record(tx, after)), run.request_id)


def _names(words: str | None) -> set[str]:
    return {name for name in (words or "").split(",") if name}
