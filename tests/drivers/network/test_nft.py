# SPDX-License-Identifier: Apache-2.0
"""Rulesets in process and by the program: the same verdicts, and neither touches the host's rules here."""

from __future__ import annotations

import ctypes
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from cumulet.services.network.drivers.fabric import nft

pytestmark = pytest.mark.root

CLONE_NEWNET = 0x40000000


@pytest.fixture(params=["library", "program"])
def way(request, monkeypatch):
    if request.param == "program":
        monkeypatch.setattr(nft, "_FEW", 0)


@pytest.mark.usefixtures("way")
def test_a_table_is_judged_without_being_loaded():
    assert nft.complaint("inet", "cumulet_test", "chain a { }") is None
    assert "syntax error" in nft.complaint("inet", "cumulet_test", "chain a { nonsense }")
    assert nft.chains("inet", "cumulet_test") == set()


@pytest.mark.usefixtures("way")
def test_a_table_that_stands_is_left_alone():
    def work():
        assert ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET) == 0
        return [nft.replace("inet", "mine", body) for body in ("chain a { }", "chain a { }", "chain b { }")]

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == [True, False, True]


def test_a_process_with_many_open_files_is_not_aborted():
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        assert nft.complaint("inet", "cumulet_test", "chain a { }") is None
    finally:
        for descriptor in held:
            os.close(descriptor)


def test_threads_take_turns():
    with ThreadPoolExecutor(8) as pool:
        verdicts = list(pool.map(lambda _: nft.complaint("inet", "cumulet_test", "chain a { }"), range(200)))
    assert verdicts == [None] * 200
