# SPDX-License-Identifier: Apache-2.0
"""Connections to an LDAP server: the first of several that answers, over TLS where that is asked for, kept for reuse.

LIMITATIONS: `debug_level` and `user_pass_attribute` are not looked at, and connections for log-ins are not kept.
"""

from __future__ import annotations

import re
import ssl
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as Late
from contextlib import contextmanager
from typing import Any, TypeVar

from cumulet.services.identity.drivers.directories.base import DirectoryAway

with warnings.catch_warnings():
    # The library uses names of pyasn1 that have newer ones.
    warnings.simplefilter("ignore", DeprecationWarning)
    import ldap3
    from ldap3.core.exceptions import LDAPException
    from ldap3.utils.conv import escape_filter_chars
    from ldap3.utils.dn import parse_dn, safe_rdn

__all__ = ["Entry", "Wire", "escape_filter_chars", "parse_dn", "safe_rdn"]

T = TypeVar("T")

PATIENCE = 20.0  # seconds for all of an answer
CONNECT = 5  # seconds for a connection, where the configuration names none
ANSWER = 15  # seconds for one message
THREADS = 8  # that talk to one server at once; as many again may wait for them
PAGED = "1.2.840.113556.1.4.319"
SUCCESS, SIZE_EXCEEDED, NO_SUCH_OBJECT, WRONG_PASSWORD = 0, 4, 32, 49
_DEREFERENCE = {
    "never": ldap3.DEREF_NEVER,
    "default": ldap3.DEREF_NEVER,
    "searching": ldap3.DEREF_SEARCH,
    "finding": ldap3.DEREF_BASE,
    "always": ldap3.DEREF_ALWAYS,
}

# A distinguished name, and values by the attribute's name in lower case.
Entry = tuple[str, dict[str, list[bytes]]]


class Wire:
    """Searches and binds under one configuration (`[ldap]` options, as `logic.domain_options` names them).

    They run in a pool of this server's own, and a caller beyond those that it can serve is sent away at once: a server
    that is slow delays nobody but those who ask it.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._config = config
        self._urls = [url for url in re.split(r"[\s,]+", config["url"] or "") if url]
        self._pool = ThreadPoolExecutor(THREADS, "directory")
        self._room = threading.BoundedSemaphore(2 * THREADS)
        self._idle: list[tuple[Any, float]] = []
        self._lock = threading.Lock()

    def search(self, base: str, scope: str, words: str, attributes: list[str]) -> list[Entry]:
        """The entries at or below `base` (scope `base`, `one`, `sub`) that a filter matches; none without a base."""
        return self._in_pool(lambda: self._search(base, scope, words, attributes))

    def binds(self, dn: str, password: str) -> bool:
        """Whether the server takes this password for this name."""
        return bool(password) and self._in_pool(lambda: self._binds(dn, password))

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._lock:
            idle, self._idle = self._idle, []
        for connection, _ in idle:
            _end(connection)

    def _in_pool(self, work: Callable[[], T]) -> T:
        if not self._room.acquire(blocking=False):
            raise DirectoryAway
        future = self._pool.submit(work)
        # The place is taken until the work has ended, not until somebody has lost patience with it.
        future.add_done_callback(lambda _: self._room.release())
        try:
            return future.result(PATIENCE)
        except (Late, LDAPException, OSError) as error:
            raise DirectoryAway from error

    def _search(self, base: str, scope: str, words: str, attributes: list[str]) -> list[Entry]:
        found: list[Entry] = []
        cookie: Any = None
        size = int(self._config["page_size"] or 0)
        with self._bound() as connection:
            while True:
                connection.search(
                    base, words, search_scope=_SCOPES[scope], attributes=attributes,
                    dereference_aliases=_DEREFERENCE[self._config["alias_dereferencing"]],
                    paged_size=size or None, paged_cookie=cookie,
                )  # fmt: skip
                if connection.result["result"] == NO_SUCH_OBJECT:
                    return []
                if connection.result["result"] != SUCCESS:
                    raise DirectoryAway
                found += [_entry(one) for one in connection.response if one["type"] == "searchResEntry"]
                cookie = connection.result.get("controls", {}).get(PAGED, {}).get("value", {}).get("cookie")
                if not size or not cookie:
                    return found

    def _binds(self, dn: str, password: str) -> bool:
        connection = self._connect(dn, password)
        try:
            if connection.bind():
                return True
            if connection.result["result"] in (WRONG_PASSWORD, NO_SUCH_OBJECT):
                return False
            raise DirectoryAway
        finally:
            _end(connection)

    @contextmanager
    def _bound(self) -> Iterator[Any]:
        """A connection under the configured name; it is kept for the next one unless something went wrong."""
        connection, opened_at = self._take()
        try:
            yield connection
        except BaseException:
            _end(connection)
            raise
        with self._lock:
            room = self._config["use_pool"] and len(self._idle) < int(self._config["pool_size"])
            if room:
                self._idle.append((connection, opened_at))
        if not room:
            _end(connection)

    def _take(self) -> tuple[Any, float]:
        now = time.monotonic()
        while True:
            with self._lock:
                kept = self._idle.pop() if self._idle else None
            if kept is None:
                break
            young = now - kept[1] < float(self._config["pool_connection_lifetime"])
            if young and not _has_ended(kept[0]):
                return kept
            _end(kept[0])
        return self._open(), now

    def _open(self) -> Any:
        config = self._config
        for attempt in range(max(1, int(config["pool_retry_max"]))):
            if attempt:
                time.sleep(min(1.0, float(config["pool_retry_delay"])))
            try:
                connection = self._connect(config["user"] or None, config["password"] or None)
                if connection.bind():
                    return connection
                _end(connection)
                break
            except (LDAPException, OSError):
                continue
        raise DirectoryAway

    def _connect(self, user: str | None, password: str | None) -> Any:
        """An open connection to the first server that answers, not yet bound."""
        error: Exception = DirectoryAway()
        for url in self._urls:
            connection = None
            try:
                connection = ldap3.Connection(
                    ldap3.Server(url, get_info=ldap3.NONE, tls=self._tls(), connect_timeout=self._timeout()),
                    user=user, password=password, authentication=ldap3.SIMPLE if user and password else ldap3.ANONYMOUS,
                    client_strategy=ldap3.SYNC, receive_timeout=ANSWER, read_only=True, check_names=False,
                    auto_referrals=bool(self._config["chase_referrals"]), auto_bind=ldap3.AUTO_BIND_NONE,
                )  # fmt: skip
                connection.open()
                if self._config["use_tls"] and not url.lower().startswith("ldaps:"):
                    connection.start_tls()
                return connection
            except (LDAPException, OSError) as failure:
                error = failure
                if connection is not None:
                    _end(connection)
        raise error

    def _tls(self) -> Any:
        config = self._config
        checked = config["tls_req_cert"] == "demand"
        return ldap3.Tls(
            validate=ssl.CERT_REQUIRED if checked else ssl.CERT_NONE,
            ca_certs_file=config["tls_cacertfile"] or None,
            ca_certs_path=None if config["tls_cacertfile"] else config["tls_cacertdir"] or None,
        )

    def _timeout(self) -> float:
        asked = float(self._config["pool_connection_timeout"])
        return asked if asked > 0 else CONNECT


_SCOPES = {"base": ldap3.BASE, "one": ldap3.LEVEL, "sub": ldap3.SUBTREE}


def _entry(answer: Mapping[str, Any]) -> Entry:
    return str(answer["dn"]), {name.lower(): list(values) for name, values in answer["raw_attributes"].items()}


def _has_ended(connection: Any) -> bool:
    """Whether the server has closed an idle connection: then there is something to read, the end."""
    try:
        connection.socket.settimeout(0)
        return connection.socket.recv(1) is not None
    except (BlockingIOError, ssl.SSLWantReadError):
        connection.socket.settimeout(None)
        return False
    except (OSError, AttributeError):
        return True


def _end(connection: Any) -> None:
    try:
        connection.unbind()
    except (LDAPException, OSError):
        connection.socket = None
