# SPDX-License-Identifier: Apache-2.0
"""What is wrong with secrets is found, and what is right is not."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from cumulet.kernel.audit import Look
from cumulet.kernel.cloud import Cloud
from cumulet.kernel.db import sql
from cumulet.services.key_manager import audit
from cumulet.services.key_manager.logic import secrets
from cumulet.services.key_manager.logic.words import NewSecret

DAY = "'2026-01-01 00:00:00'"
WRONG = {
    "UPDATE key_manager_payload SET sealed = substr(sealed, 1, 20)": "does not open",
    "DELETE FROM key_manager_payload": "secret has lost its payload",
    "UPDATE key_manager_secret SET content_type = NULL": "a payload belongs to nobody",
    "DELETE FROM kernel_secret": "is not in the vault",
    f"INSERT INTO key_manager_acl VALUES ('x', false, {DAY}, {DAY})": "an access list belongs to nobody",
    "INSERT INTO key_manager_order (id, project_id, creator_id, type, status, meta, created_at, updated_at)"
    f" VALUES ('o', 'p', 'u', 'key', 'PENDING', '{{}}', {DAY}, {DAY})": "nobody carries it out",
}


@pytest.fixture
def look(db, vault):
    def made():
        cloud = Cloud(None, db, None, None, None, None, (), None, vault)  # type: ignore[arg-type]
        return Look(cloud, "key_manager")

    prepared = secrets.prepare_for(made().cloud, "p", "u", NewSecret(plain=b"whisper", content_type="text/plain"))
    db.write(lambda tx: secrets.add(tx, prepared))
    return made


def test_all_is_well(look):
    assert list(audit.audit(look())) == []


@pytest.mark.parametrize("statement", WRONG)
def test_what_is_wrong_is_found(look, db, statement):
    db.write(lambda tx: sql.execute(tx, text(statement)))
    found = [each.text for each in audit.audit(look())]
    assert [words for words in found if WRONG[statement] in words], found
