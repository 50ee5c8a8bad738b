# SPDX-License-Identifier: Apache-2.0
"""Rulesets of nftables, loaded in process: a table is replaced whole, in one transaction, and carries its own stamp.

The stamp is an empty chain named after the hash of the table's text, so the kernel itself says whether a table is the
wanted one, after a restart of the agent too. Connections that are tracked live through a replacement.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from cumulet.kernel.run import CommandFailed, run
from cumulet.services.network.drivers.fabric.namespace import apart

_JSON_OUTPUT = 1 << 4
# libnftables waits for the kernel by select(), which takes no descriptor from 1024 on: the process would be aborted. A
# process with nearly as many open ones, a host of hundreds of servers, asks the `nft` program.
_FEW = 960
# The library's parser is not made for two threads at once.
_ALONE = threading.Lock()


class RulesRefused(Exception):
    """nftables did not take a ruleset; the message is its own words."""


class MessageTooLong(RulesRefused):
    """More than the socket takes in one transaction: some 200 KiB where the process may not ask for more."""


def replace(family: str, table: str, body: str, *, thorough: bool = False) -> bool:
    """Make `table` of `family` hold exactly `body`, in the namespace of the calling thread; False where it did already.

    `body` is what stands between the table's braces in nft's language. Raises RulesRefused; the old table stands then.
    `thorough`: do not believe the stamp, look at what stands.
    """
    stamp = "v" + digest(body)
    whole = f"chain {stamp} {{ }}\n{body}"
    text = f"add table {family} {table}\ndelete table {family} {table}\ntable {family} {table} {{\n{whole}\n}}"
    if stamp in chains(family, table) and (not thorough or stands(family, table, partial(load, text))):
        return False
    load(text)
    return True


def digest(text: str) -> str:
    """What stamps tell texts apart by."""
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def load(text: str) -> None:
    """Run commands in one transaction. Raises RulesRefused; nothing is changed then."""
    _run(text + "\n")


def stands(family: str, table: str, make: Callable[[], object]) -> bool:
    """Whether the table is what `make` makes in an empty namespace, whoever may have changed it since it was loaded."""

    def make_apart() -> str:
        make()
        return _listing(family, table)

    return _listing(family, table) == apart(make_apart)


def _listing(family: str, table: str) -> str:
    """The table as the kernel has it, without what differs between two that are alike; empty where it is not there."""
    try:
        found = json.loads(_run(f"list table {family} {table}\n", as_json=True))["nftables"]
    except RulesRefused:
        return ""
    kept = sorted((item for item in found if "metainfo" not in item), key=_place)
    return json.dumps([_plain(item) for item in kept], sort_keys=True)


def _place(item: dict[str, Any]) -> tuple[str, str]:
    """Sets and chains stand in the order in which they came, which says nothing; a chain's rules keep theirs."""
    ((kind, words),) = item.items()
    return kind, words.get("chain") or words["name"]


def _plain(item: Any) -> Any:
    if isinstance(item, list):
        return [_plain(each) for each in item]
    if not isinstance(item, dict):
        return item
    found = {name: _plain(value) for name, value in item.items() if name != "handle"}
    if "elem" in found and isinstance(found["elem"], list):
        found["elem"].sort(key=str)
    return found


def remove(family: str, table: str) -> bool:
    """Take the table away; False where there is none."""
    if not chains(family, table):
        return False
    _run(f"delete table {family} {table}\n")
    return True


def chains(family: str, table: str) -> set[str]:
    """Names of the table's chains; empty where there is no such table."""
    found = _run(f"list chains {family}\n", as_json=True)
    items = json.loads(found).get("nftables", []) if found else []
    return {item["chain"]["name"] for item in items if "chain" in item and item["chain"]["table"] == table}


def counters(family: str, table: str) -> dict[str, tuple[int, int]]:
    """Packets and bytes of the table's named counters. Raises RulesRefused where there is no such table."""
    items = json.loads(_run(f"list counters table {family} {table}\n", as_json=True)).get("nftables", [])
    found = (item["counter"] for item in items if "counter" in item)
    return {each["name"]: (each["packets"], each["bytes"]) for each in found}


def complaint(family: str, table: str, body: str) -> str | None:
    """What nftables would say to the table, without loading it; None where it would take it."""
    try:
        _run(f"table {family} {table} {{\n{body}\n}}\n", dry=True)
    except RulesRefused as error:
        return str(error)
    return None


def accepts(text: str) -> str | None:
    """Try `text` in the calling thread's namespace; None where it was taken, else nftables' complaint."""
    try:
        _run(text)
    except (RulesRefused, OSError) as error:
        return str(error)
    return None


@cache
def _library() -> Any:
    library = ctypes.CDLL("libnftables.so.1")
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_free.argtypes = [ctypes.c_void_p]
    library.nft_ctx_output_set_flags.argtypes = [ctypes.c_void_p, ctypes.c_uint]
    library.nft_ctx_set_dry_run.argtypes = [ctypes.c_void_p, ctypes.c_bool]
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    for name in ("nft_ctx_get_output_buffer", "nft_ctx_get_error_buffer"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
        getattr(library, name).restype = ctypes.c_char_p
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library


def _run(text: str, *, as_json: bool = False, dry: bool = False) -> str:
    with _ALONE:
        if _next_descriptor() < _FEW:
            return _in_process(text, as_json=as_json, dry=dry)
    return _by_program(text, as_json=as_json, dry=dry)


def _next_descriptor() -> int:
    found = os.dup(0)
    os.close(found)
    return found


def _by_program(text: str, *, as_json: bool, dry: bool) -> str:
    # What it lists it prints only where it was asked by its arguments, not where it reads the question.
    words, stdin = (["-j", *text.split()], b"") if as_json else (["-f", "-"], text.encode())
    try:
        done = run(["nft", *(["-c"] if dry else []), *words], stdin=stdin)
    except CommandFailed as error:
        raise _refusal(error.output) from error
    return done.stdout.decode()


def _refusal(words: str) -> RulesRefused:
    return (MessageTooLong if os.strerror(errno.EMSGSIZE) in words else RulesRefused)(words)


def _in_process(text: str, *, as_json: bool, dry: bool) -> str:
    library = _library()
    context = library.nft_ctx_new(0)
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_set_dry_run(context, dry)
        if as_json:
            library.nft_ctx_output_set_flags(context, _JSON_OUTPUT)
        code = library.nft_run_cmd_from_buffer(context, text.encode())
        output = library.nft_ctx_get_output_buffer(context) or b""
        complaint = library.nft_ctx_get_error_buffer(context) or b""
    finally:
        library.nft_ctx_free(context)
    if code != 0:
        raise _refusal(bytes(complaint).decode(errors="replace").strip())
    return bytes(output).decode()
