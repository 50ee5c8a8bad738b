# SPDX-License-Identifier: Apache-2.0
"""Staged data on their way to be an image's own: through the plug-ins, looked into, and into the stores."""

from __future__ import annotations

import secrets
from collections.abc import Callable

from cumulet.kernel.db import Tx
from cumulet.kernel.errors import CumuletError, Invalid
from cumulet.kernel.saga import Commit, Run
from cumulet.services.image.contract import Outcome, Work
from cumulet.services.image.drivers.file import FileStore
from cumulet.services.image.logic import (
    data,
    importing,
    inspect,
    limits,
    locations,
    plugins,
    signatures,
    staging,
    stores,
)
from cumulet.services.image.logic.bytes import IMPORT, STAGE, draft
from cumulet.services.image.logic.data import Sums
from cumulet.services.image.logic.importing import Progress, Terms
from cumulet.services.image.store import images
from cumulet.services.image.types import ImageStatus, Record


def prepare(run: Run) -> Commit | None:
    """Have the plug-ins at the staged data, and look into what came of them."""
    terms = Terms(run)
    if terms.is_copy:
        return None
    record = importing.held(run.cloud.db, terms)
    formats = {"disk_format": record.image.disk_format, "container_format": record.image.container_format}
    name, words = draft(STAGE, terms.image_id), dict[str, str]()
    for number, plugin in enumerate(run.cloud.settings.image_import.plugins):
        target = draft(IMPORT, terms.image_id, str(number))
        outcome = plugins.find(plugin)(_work(run, record, formats, name, target))
        words.update(outcome.properties)
        formats = _changed(formats, outcome)
        if outcome.replaced:
            if name != draft(STAGE, terms.image_id):
                staging.area(run.cloud).discard(name)
            name = target
    limits.check_properties(run.cloud.settings.image_use, {**record.properties, **words})
    run.state["data"] = _look(run, formats, name)
    return importing.change_words(run, formats, words)


def fill(run: Run) -> Commit:
    """Have the data in the stores; the image is active, and nobody's any more, once that commits."""
    terms, kept = Terms(run), []
    for store_id in terms.stores:
        try:
            if not _is_in(run, store_id):
                _copy(run, terms, store_id)
        except CumuletError:
            importing.held(run.cloud.db, terms)  # it is no store's fault where the image has gone
            if run.cloud.sagas.stopping:
                raise
            if terms.all_must_succeed:
                run.state["failed"] = [store_id]
                raise
            run.cloud.db.write(lambda tx, s=store_id: importing.list_stores(tx, importing.held(tx, terms), failed=[s]))  # type: ignore[misc]
        else:
            kept.append(store_id)
            _tell_filled(run, terms, kept)
    if not kept:
        raise Invalid("None of the uploads finished!")

    def commit(tx: Tx) -> None:
        _place(run, tx, kept)
        importing.succeeded(run.cloud, tx, terms)

    return commit


def unfill(run: Run) -> None:
    """Take out of the stores what was brought there, but for what users have seen there by now."""
    terms = Terms(run)

    def forget(tx: Tx) -> None:
        now = importing.holds(tx, terms)
        if now is not None:
            locations.replace(tx, terms.image_id, [each for each in now.locations if each.store not in terms.stores])

    if terms.is_copy and terms.all_must_succeed:
        run.cloud.db.write(forget)
    for store_id in terms.stores:
        locations.delete_unused(run.cloud, store_id, terms.image_id)


def _work(run: Run, record: Record, formats: dict[str, str | None], name: str, target: str) -> Work:
    area = staging.area(run.cloud)
    return Work(
        image_id=record.image.id,
        data=area.draft_path(name),
        target=area.draft_path(target),
        disk_format=formats["disk_format"] or "",
        container_format=formats["container_format"] or "",
        properties=record.properties,
        roles=Terms(run).roles,
        largest=run.cloud.settings.image_use.image_size_cap,
        settings=run.cloud.settings,
        tell=Progress(run, "Prepared"),
    )


def _changed(formats: dict[str, str | None], outcome: Outcome) -> dict[str, str | None]:
    return {name: getattr(outcome, name) or value for name, value in formats.items()}


def _look(run: Run, formats: dict[str, str | None], name: str) -> dict[str, object]:
    """What the saga remembers of the data: where they are, what they sum up to, what a guest sees of them."""
    area = staging.area(run.cloud)
    size = area.draft_size(name)
    virtual_size = inspect.check(
        lambda offset, length: area.read_draft(name, offset, length),
        size,
        formats["disk_format"] or "",
        formats["container_format"] or "",
        inspect.rules(run.cloud.settings),
    )
    verifier = data.verifier_of(run.cloud, Terms(run).ctx, run.subject)
    sums = data.sum_draft(area, name, size, verifier)
    signatures.verify(run.subject, verifier)
    return {"name": name, "size": size, "md5": sums.md5, "sha512": sums.sha512, "virtual_size": virtual_size}


def _is_in(run: Run, store_id: str) -> bool:
    """Whether the store has the image by now: noted with its row, so that nothing is copied twice."""
    image = importing.held(run.cloud.db, Terms(run)).image
    return any(each.store == store_id for each in locations.of_image(run.cloud.db, image))


def _copy(run: Run, terms: Terms, store_id: str) -> None:
    if terms.is_copy:
        locations.copy(run.cloud, terms.image_id, store_id)
        return
    target = stores.get(run.cloud, store_id).writable
    name, size = draft(IMPORT, terms.image_id, secrets.token_hex(8)), run.state["data"]["size"]
    staged = staging.area(run.cloud).draft_path(run.state["data"]["name"])
    if isinstance(target, FileStore) and target.adopt(staged, name):
        target.publish(name, terms.image_id, size)
        target.discard(name)  # it is still there where this had been done before
        return
    sha512 = locations.stream(_reader(run), target, name, terms.image_id, size)
    if sha512 != run.state["data"]["sha512"]:
        raise Invalid("The staged data have changed meanwhile.")


def _reader(run: Run) -> Callable[[int, int], bytes]:
    area, name, progress = staging.area(run.cloud), run.state["data"]["name"], Progress(run, "Copied")

    def read(offset: int, length: int) -> bytes:
        progress(offset)
        return area.read_draft(name, offset, length)

    return read


def _tell_filled(run: Run, terms: Terms, kept: list[str]) -> None:
    """One more store has the data; where one is enough, the image can be used from now on."""

    def write(tx: Tx) -> None:
        record = importing.held(tx, terms)
        importing.list_stores(tx, record, done=kept)
        if not terms.all_must_succeed:
            _place(run, tx, kept)

    run.cloud.db.write(write)


def _place(run: Run, tx: Tx, kept: list[str]) -> None:
    """Note where the held image's data are, and let it be active."""
    terms, cloud = Terms(run), run.cloud
    record = importing.held(tx, terms)
    if record.image.status == ImageStatus.IMPORTING:
        found = run.state["data"]
        sums = Sums(found["size"], found["md5"], found["sha512"])
        first = stores.get(cloud, kept[0])
        data.set_active(
            cloud, tx, terms.image_id, sums, found["virtual_size"], first, ImageStatus.IMPORTING, run.request_id
        )
    image = images.find(tx, terms.image_id)
    assert image is not None
    there = {each.store for each in locations.of_image(tx, image)}
    for store_id in kept:
        if store_id not in there:
            locations.add(tx, image, store_id, terms.image_id)
