# SPDX-License-Identifier: Apache-2.0
"""A host's journal: whole records, whatever happens."""

from __future__ import annotations

import pytest

from cumulet.kernel.link.host import Journal


def test_records_are_kept_by_key(tmp_path):
    journal = Journal(tmp_path / "servers")
    journal.put("a", {"state": "running", "fds": [1, 2]})
    journal.put("a", {"state": "stopped"})
    journal.put("b", {})
    again = Journal(tmp_path / "servers")
    assert again.items() == {"a": {"state": "stopped"}, "b": {}}
    again.delete("a")
    again.delete("a")
    assert again.get("a") is None
    assert again.items() == {"b": {}}


def test_a_write_that_was_cut_off_leaves_the_old_record(tmp_path):
    journal = Journal(tmp_path)
    journal.put("a", {"n": 1})
    (tmp_path / "a.new").write_bytes(b"\x81\xa1")
    assert Journal(tmp_path).items() == {"a": {"n": 1}}


def test_a_record_that_is_forgotten_while_all_are_read_is_not_among_them(tmp_path):
    class Sorted(Journal):
        def get(self, key):
            if key == "a":
                self.delete("b")
            return super().get(key)

    journal = Sorted(tmp_path)
    journal.put("a", 1)
    journal.put("b", 2)
    assert journal.items() == {"a": 1}


@pytest.mark.parametrize("key", ["../x", "a/b", ".hidden"])
def test_a_key_cannot_leave_the_folder(tmp_path, key):
    with pytest.raises(ValueError, match="not a journal key"):
        Journal(tmp_path).put(key, {})
