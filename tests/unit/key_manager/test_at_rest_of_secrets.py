# SPDX-License-Identifier: Apache-2.0
"""What callers say in confidence stands in no table and no log."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import MetaData, select

from cumulet.kernel.db import sql
from support.caller import Caller
from support.people import environment
from support.waiting import until

WHISPER = "whispered-4711"


@pytest.fixture
def api(cloud):
    return Caller(int(cloud.control_url.rpartition(":")[2]), environment(cloud)["MEMBER_TOKEN"])


def everything(db):
    """All rows of all tables of the key manager and of the kernel, as text."""
    with db.dialect.use() as connection:
        known = MetaData()
        known.reflect(connection)
    tables = [table for name, table in known.tables.items() if name.startswith(("key_manager_", "kernel_"))]
    return "".join(str(row) for table in tables for row in sql.tuples(db, select(table)))


def test_nothing_said_stands_in_the_database_or_the_log(cloud, api, caplog):
    caplog.set_level(logging.DEBUG)
    api("POST", "/key-manager/v1/secrets", {"payload": WHISPER, "payload_content_type": "text/plain"})
    meta = {"algorithm": "rsa", "bit_length": 1024, "passphrase": WHISPER}
    order = api("POST", "/key-manager/v1/orders", {"type": "asymmetric", "meta": meta})["order_ref"]
    path = order.partition("/key-manager")[2]
    until(lambda: api("GET", f"/key-manager{path}")["status"] == "ACTIVE")
    status, _ = api.ask("POST", "/key-manager/v1/secrets", {"payload": WHISPER, "payload_content_type": "text/foo"})
    assert status == 400
    kept = everything(cloud.control.cloud.db)
    assert path.rpartition("/")[2] in kept
    assert WHISPER not in kept
    assert "PRIVATE KEY" not in kept
    assert WHISPER not in caplog.text


def test_an_order_that_is_deleted_is_never_carried_out(cloud, api):
    """Deleted at once: whether the saga was quicker or not, nothing is left behind that belongs to nobody."""
    meta = {"algorithm": "rsa", "bit_length": 2048, "passphrase": WHISPER}
    order = api("POST", "/key-manager/v1/orders", {"type": "asymmetric", "meta": meta})["order_ref"]
    path = f"/key-manager{order.partition('/key-manager')[2]}"
    assert api.ask("DELETE", path)[0] == 204
    assert api.ask("GET", path)[0] == 404
    inner, order_id = cloud.control.cloud, path.rpartition("/")[2]
    until(lambda: not inner.sagas.unfinished(inner.db, order_id))
    assert WHISPER not in everything(inner.db)
